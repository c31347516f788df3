import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from '../../test/runs.ts';
import { COLUMNS, type Column, FILE_NAMES } from './columns.ts';
import { headerOf, linesOf, splitLines } from './csv.ts';

const columns: Column[] = [
  { name: 'text', type: 'text', meaning: '' },
  { name: 'number', type: 'number', meaning: '' },
];
const lineOf = (text: string | null, number: string | number | null = null) =>
  linesOf(columns, [{ text, number }])[0];

it.each([
  ['plain', 'plain,\r\n'],
  ['a,b', '"a,b",\r\n'],
  ['a "b"', '"a ""b""",\r\n'],
  ['a\nb', '"a\nb",\r\n'],
  ['a\rb', '"a\rb",\r\n'],
  ['a\r\nb', '"a\r\nb",\r\n'],
  [' spaces ', ' spaces ,\r\n'],
  ['', ',\r\n'],
  ['名前 🎁', '名前 🎁,\r\n'],
])('writes a text by RFC 4180: %j', (text, line) => {
  expect(lineOf(text)).toBe(line);
});

it.each(['=1+1', '+1-1', '-2+3', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '＝1+1', '＋1', '－1', '＠x'])(
  'makes a text of what would be a formula: %j',
  (text) => {
    expect(lineOf(text)).toMatch(/^"?'/);
    // A number that came as a text is one, too.
    expect(lineOf(null, text)).toMatch(/^,"?'/);
  },
);

it.each([
  [-1.5, ',-1.5\r\n'],
  [0, ',0\r\n'],
  [14.9, ',14.9\r\n'],
  ['14.90', ',14.90\r\n'],
  [null, ',\r\n'],
])('writes a number as it is: %j', (number, line) => {
  expect(lineOf(null, number)).toBe(line);
});

it.each(FILE_NAMES)('has a header and a meaning for each column of %s', (name) => {
  const header = headerOf(COLUMNS[name]);
  expect(header).toBe(`${COLUMNS[name].map((column) => column.name).join(',')}\r\n`);
  expect(COLUMNS[name].map(({ meaning }) => meaning)).not.toContain('');
});

/** A reader of RFC 4180 that knows nothing of the writer. */
function parse(csv: string): string[][] {
  const rows: string[][] = [[]];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy;
  for (let match = cell.exec(csv); match; match = cell.exec(csv)) {
    rows.at(-1)?.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    if (match[3] === '\r\n') rows.push([]);
    if (cell.lastIndex === csv.length) break;
  }
  expect(rows.pop()).toEqual([]);
  return rows;
}

it('gives any text back to a reader, but for the guard', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 6 }),
      (texts) => {
        const lines = linesOf(
          columns,
          texts.map((text) => ({ text, number: 7 })),
        );
        expect(lines).toHaveLength(texts.length);
        const read = parse(lines.join('')).map(([text]) => text);
        expect(read.map((text, i) => (text === `'${texts[i]}` ? texts[i] : text))).toEqual(texts);
        for (const text of read) expect(text).not.toMatch(/^[=+\-@\t\r\n]/);
      },
    ),
    { numRuns: runs(30) },
  );
});

it('splits what is cut in the middle, too', () => {
  expect([...splitLines('a\r\n"b\r\n""c",d\r\ne')]).toEqual(['a\r\n', '"b\r\n""c",d\r\n', 'e']);
  expect([...splitLines('')]).toEqual([]);
  expect([...splitLines('a,"b\r\n')]).toEqual(['a,"b\r\n']);
});
