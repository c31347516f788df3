import { parseForeignJson } from 'service-kit/foreign-json';
import { expect, it } from 'vitest';
import { fingerprintOf, shownIdOf } from './record-identity.ts';

it('is the same for the same record, and another for another', () => {
  const records = [
    null,
    'null',
    7,
    '7',
    70,
    [],
    {},
    '',
    [1, [2]],
    [[1], 2],
    [[1, 2]],
    [1, 2],
  ].concat([
    { a: 1 },
    { a: '1' },
    { b: 1 },
    { a: { b: 1 } },
    { a: [], b: 1 },
    { a: ['b', 1] },
  ] as never[]);
  const prints = records.map((record) => fingerprintOf(structuredClone(record)));
  expect(prints).toEqual(records.map(fingerprintOf));
  expect(new Set(prints).size).toBe(records.length);
});

it('does not write out what is deep or long, nor runs out of stack', () => {
  const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  const long = Array.from({ length: 100_000 }, () => ({}));
  expect(fingerprintOf({ deep })).not.toBe(fingerprintOf({ long }));
});

it.each([
  ['{"id":7}', '7'],
  ['{"id":9007199254740993}', '9007199254740993'],
  ['{"id":true}', 'true'],
  ['{"id":{"name":"Jane"}}', 'an object'],
  ['{"id":["Jane"]}', 'an array'],
  [`{"id":"${'x'.repeat(101)}"}`, `${'x'.repeat(100)}…`],
  ['{"id":""}', null],
  ['{"id":null,"name":"Jane"}', null],
  ['{"name":"Jane"}', null],
  ['"Jane"', null],
])(
  'shows of %s the id alone, with all its digits and no more than a hundred characters',
  (json, id) => {
    expect(shownIdOf(parseForeignJson(json))).toBe(id);
  },
);

it('tells numbers beyond 2^53 from each other, and takes 2^53 for itself', () => {
  const [one, other] = ['9007199254740992', '9007199254740993'].map((id) =>
    parseForeignJson(`{"id":${id}}`),
  );
  expect(fingerprintOf(one)).not.toBe(fingerprintOf(other));
  expect(fingerprintOf(one)).toBe(fingerprintOf({ id: 2 ** 53 }));
});
