import { expect, it } from 'vitest';
import { fingerprintOf } from './record-identity.ts';

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
