import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRecordList, type JsonArray, type RecordList } from './record-list.ts';

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
  it('is at every part what JSON.stringify makes of the same records, also after changes', () => {
    fc.assert(
      fc.property(
        fc.array(recordArb, { maxLength: 30 }),
        fc.array(fc.tuple(fc.nat(), fc.option(recordArb, { nil: undefined })), { maxLength: 6 }),
        fc.infiniteStream(fc.nat()),
        (first, changes, dice) => {
          const list = createRecordList();
          const view = list.view((json, number) => `[${number},${json}]`);
          const records: (string | undefined)[] = [];
          const add = (record: string) => {
            expect(list.append(JSON.stringify(record))).toBe(records.push(record) - 1);
            expect(list.length).toBe(records.length);
          };
          const present = (from: number, to: number) =>
            records
              .slice(from, to)
              .flatMap((record, i) => (record === undefined ? [] : [[from + i, record] as const]));
          const expectSame = (array: JsonArray, values: unknown[]) => {
            const expected = JSON.stringify(values);
            expect(textOf(array)).toBe(expected);
            expect(array.byteLength).toBe(Buffer.byteLength(expected));
          };
          const look = () => {
            for (let i = 0; i < 5; i++) {
              const from = dice.next().value % (records.length + 1);
              const limit = (dice.next().value % (records.length + 1)) + 1;
              const page = present(from, records.length).slice(0, limit);
              const slice = list.slice(from, limit);
              expectSame(
                slice,
                page.map(([, record]) => record),
              );
              expectSame(view.slice(from, limit), page);
              expect(slice.end).toBe((page[limit - 1]?.[0] ?? records.length - 1) + 1);
              expectSame(
                list.slice(from),
                present(from, records.length).map(([, record]) => record),
              );
              expectSame(
                list.pick(page.map(([number]) => number)),
                page.map(([, record]) => record),
              );
              for (const [number, record] of page) expect(JSON.parse(list.at(number))).toBe(record);
            }
          };
          for (const record of first) add(record);
          look();
          for (const [number, record] of changes) {
            if (records.length === 0) break;
            const index = number % records.length;
            // What was removed does not come back.
            if (records[index] === undefined) continue;
            list.change(index, record === undefined ? undefined : JSON.stringify(record));
            records[index] = record;
            add('between');
            look();
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('stays as it was for who reads it while records are added, changed and removed', () => {
    const list = createRecordList();
    for (let i = 0; i < 100_000; i++) list.append(String(i));
    let text = '';
    let next = 0;
    for (const piece of list.slice(0).pieces) {
      text += piece;
      for (let i = 0; i < 10_000; i++) list.append('"later"');
      for (let i = 0; i < 100; i++) list.change(next++, i % 2 === 0 ? '"changed"' : undefined);
      list.change(99_999, '"changed"');
    }
    expect(text).toBe(JSON.stringify(Array.from({ length: 100_000 }, (_, i) => i)));
  });

  it('makes another form of it in short pieces, and no more than is asked for', async () => {
    const list = createRecordList();
    const made: number[] = [];
    const view = list.view((json, number) => {
      made.push(number);
      return json;
    });
    for (let i = 0; i < 10; i++) list.append(JSON.stringify('x'.repeat(200_000)));
    await view.prepare(2, 3);
    expect(made).toEqual([2, 3, 4]);
    const inOneTurn: number[] = [];
    let isMade = false;
    const count = (before: number) => {
      inOneTurn.push(made.length - before);
      if (!isMade) setImmediate(count, made.length);
    };
    setImmediate(count, made.length);
    await view.prepare(0);
    isMade = true;
    expect(Math.max(...inOneTurn)).toBe(1);
    made.length = 0;
    expect(textOf(view.slice(0))).toBe(textOf(list.slice(0)));
    expect(made).toEqual([]);
  });

  it('names each part of it by a tag that no other part has, nor another list, nor what it was before', () => {
    const [list, other] = [createRecordList(), createRecordList()];
    const tags: string[] = [];
    const collect = (...of: RecordList[]) => {
      for (const each of of) {
        const slices = [each.slice(0, 1), each.slice(1, 1), each.slice(0), each.slice(2)];
        tags.push(...slices.map(({ etag }) => etag));
      }
    };
    for (const each of [list, other]) for (const json of ['1', '2']) each.append(json);
    collect(list, other);
    list.change(0, '2');
    collect(list);
    list.change(0, undefined);
    tags.push(list.slice(0).etag, list.view(String).slice(1).etag);
    expect(new Set(tags).size).toBe(14);
    expect(list.slice(0).etag).toBe(list.slice(0).etag);
  });
});
