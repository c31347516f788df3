import { expect, it } from 'vitest';
import { createCustomerList } from './customer-list.ts';

const customersOf = (page: number) =>
  Array.from({ length: 10_000 }, (_, i) => ({ id: `${page}-${i}`, name: 'Zoë Müller\n' }));
const textOf = (customers: { id: string; name: string }[]) =>
  customers.map(({ id, name }) => `${JSON.stringify([id, name])}\n`).join('');

async function* arriving(records: unknown[]) {
  yield* records;
}

it('gives back the customers of its pages, as often as it is asked', async () => {
  const list = createCustomerList();
  expect([[...list], list.byteLength]).toEqual([[], 0]);
  const [first, second] = [customersOf(1), customersOf(2)];
  expect(await list.addPage(arriving(first))).toEqual({ count: 10_000, first: '1-0' });
  expect(await list.addPage(arriving([null, ...second]))).toEqual({ count: 10_001, first: '2-0' });
  const all = [...first, ...second];
  for (let i = 0; i < 2; i++) expect([...list]).toEqual(all);
  expect(list.byteLength).toBe(Buffer.byteLength(textOf(all)));
  expect(list.unusable).toMatchObject([{ position: 10_000 }]);
});

it('has nothing of a page that breaks off', async () => {
  const list = createCustomerList();
  async function* broken() {
    yield* [...customersOf(1), null];
    throw new Error('it broke off');
  }
  await expect(list.addPage(broken())).rejects.toThrow('it broke off');
  expect([[...list], list.byteLength, list.unusable, list.unusableCount]).toEqual([[], 0, [], 0]);
});
