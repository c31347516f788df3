import { expect, it } from 'vitest';
import { COLUMNS } from './columns.ts';
import { KINDS, type Kind, parseRecord } from './record.ts';

const ID = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';
const created_at = '2026-01-01T12:00:00.000Z';

it('makes cells of a customer, in whatever form the id is', () => {
  const record = { id: ID.toUpperCase(), name: 'Jane', email: 'j@x.org', created_at, extra: 1 };
  const cells = { id: ID, name: 'Jane', email: 'j@x.org', created_at };
  expect(parseRecord('customer', record)).toEqual({ kind: 'customer', id: ID, lane: ID, cells });
});

it('makes cells of a product, whose lane is its own', () => {
  const product = { id: 'p', sku: 's', name: 'n', category: 'c', price: -1.5, currency: 'EUR' };
  const record = { ...product, stock: 7, updated_at: created_at };
  expect(parseRecord('product', record)).toMatchObject({ lane: 'product/p', cells: record });
});

it('makes cells of a package request, in the lane of its customer', () => {
  const record = { customer_id: ID.toUpperCase(), request_id: 'r', package_type: 't', created_at };
  expect(parseRecord('package-request', record)).toEqual({
    ...{ kind: 'package-request', id: 'r', lane: ID },
    cells: { request_id: 'r', customer_id: ID, product_sku: 't', requested_at: created_at },
  });
});

it('keeps what is no text as it is shown, and replaces what cannot be stored', () => {
  const record = { id: 'a', name: 'a\0b\ud800', email: { at: 'x' }, created_at: undefined };
  expect(parseRecord('customer', record)).toMatchObject({
    cells: { name: 'a\ufffdb\ufffd', email: '{"at":"x"}', created_at: null },
  });
});

it.each<[Kind, unknown, RegExp]>([
  ['customer', null, /no object/],
  ['customer', ['a'], /no object/],
  ['customer', {}, /no id/],
  ['customer', { id: 7 }, /not a string/],
  ['product', { id: '' }, /no id/],
  ['package-request', { customer_id: ID }, /no id/],
  ['package-request', { request_id: 'r' }, /of its customer, it has no id/],
  ['package-request', { request_id: 'r', customer_id: 7 }, /of its customer, its id is not a/],
])('says why a %s cannot be used: %j', (kind, record, reason) => {
  expect(parseRecord(kind, record)).toMatch(reason);
});

it.each(Object.entries(KINDS))('has a column for each cell of a %s', (_, { file, id, fields }) => {
  const names = COLUMNS[file].map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining([id, ...Object.keys(fields)]));
});
