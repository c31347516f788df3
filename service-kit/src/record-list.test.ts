import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRecordList, type JsonArray } from './record-list.ts';

const textOf = ({ pieces }: JsonArray) => Buffer.concat([...pieces]).toString();

/** Records of all sizes: many per block, about the size of a block, larger. */
const recordArb = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: 'grapheme', maxLength: 50 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 100_000, max: 300_000 }).map((n) => '日'.repeat(n / 3)),
  },
);

describe('a list of records', () => {
  it('is at every part what JSON.stringify makes of the same records', () => {
    fc.assert(
      fc.property(
        fc.array(recordArb, { maxLength: 30 }),
        fc.infiniteStream(fc.nat()),
        (records, dice) => {
          const list = createRecordList();
          const positions = records.map((record) => list.append(JSON.stringify(record)));
          expect(positions).toEqual(records.map((_, i) => i));
          expect(list.length).toBe(records.length);
          for (let i = 0; i < 5; i++) {
            const [from = 0, to = 0] = [dice.next().value, dice.next().value]
              .map((value) => value % (records.length + 1))
              .sort((a, b) => a - b);
            for (const array of [list.slice(from, to), list.pick(positions.slice(from, to))]) {
              const expected = JSON.stringify(records.slice(from, to));
              expect(textOf(array)).toBe(expected);
              expect(array.byteLength).toBe(Buffer.byteLength(expected));
            }
            if (from < records.length) expect(JSON.parse(list.at(from))).toBe(records[from]);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('stays as it was for who reads it while records are added', () => {
    const list = createRecordList();
    for (let i = 0; i < 100_000; i++) list.append(String(i));
    const array = list.slice(0, list.length);
    const pieces = array.pieces[Symbol.iterator]();
    let text = '';
    for (let next = pieces.next(); !next.done; next = pieces.next()) {
      text += next.value;
      for (let i = 0; i < 10_000; i++) list.append('"later"');
    }
    expect(text).toBe(JSON.stringify(Array.from({ length: 100_000 }, (_, i) => i)));
  });

  it('names each part of it by a tag that no other part has, nor another list', () => {
    const [list, other] = [createRecordList(), createRecordList()];
    const tags = [list, other].flatMap((each) => {
      each.append('1');
      each.append('2');
      return [each.slice(0, 0), each.slice(0, 1), each.slice(1, 2), each.slice(0, 2)];
    });
    expect(new Set(tags.map(({ etag }) => etag)).size).toBe(8);
    expect(list.slice(0, 1).etag).toBe(list.slice(0, 1).etag);
  });
});
