import { stringify } from 'csv-stringify/sync';
import type { Cells, Column } from './columns.ts';

/** What a spreadsheet may take for the beginning of a formula (OWASP, "CSV Injection"), also in full width. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** RFC 4180: commas, CRLF, quotes where they are needed. By itself, csv-stringify quotes no lone CR or LF. */
const format = (rows: string[][]) =>
  stringify(rows, { record_delimiter: '\r\n', quoted_match: /[\r\n]/ });

export const headerOf = (columns: readonly Column[]): string =>
  format([columns.map(({ name }) => name)]);

/** Each row as its line of the file, in their order. A text that would be a formula begins with `'`. */
export function linesOf(columns: readonly Column[], rows: readonly Cells[]): string[] {
  const cells = rows.map((row) => columns.map((column) => cellOf(column, row[column.name])));
  return [...splitLines(format(cells))];
}

/** The lines of a file, each with its CRLF; a last one may be without. One in quotes belongs to its cell. */
export function* splitLines(csv: string): Generator<string> {
  const ends = /"[^"]*"|\r\n/g;
  let start = 0;
  for (const { 0: match, index } of csv.matchAll(ends)) {
    if (match !== '\r\n') continue;
    const end = index + match.length;
    yield csv.slice(start, end);
    start = end;
  }
  if (start < csv.length) yield csv.slice(start);
}

/** A value as the text of its cell, without quotes. */
export function cellOf({ type }: Column, value: Cells[string] | undefined): string {
  if (value === null || value === undefined) return '';
  const text = String(value);
  // A number that came as a text may be anything.
  const isSafe = type === 'number' && typeof value === 'number';
  return !isSafe && FORMULA.test(text) ? `'${text}` : text;
}
