import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readRows } from './read-rows.ts';
import { readTail } from './read-tail.ts';

const BIG = 'x\r\n"y"'.repeat(30_000);
const quote = (cell: string) => `"${cell.replaceAll('"', '""')}"`;

async function setUp(cells: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'tail-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file.csv');
  const text = `a,b\r\n${cells.map((cell) => `${quote(cell)},1\r\n`).join('')}`;
  writeFileSync(path, `${text}torn "`);
  return { path, length: Buffer.byteLength(text) };
}

it.each([
  ['none', []],
  ['one', ['é']],
  ['few', ['1', '2', '3']],
  ['more than are wanted', Array.from({ length: 9 }, (_, i) => `row ${i}`)],
  ['more than are read at first', Array.from({ length: 20_000 }, (_, i) => `row "${i}"\r\n,`)],
  ['one larger than what is read at first', ['a', BIG, 'b', 'c', 'd', BIG]],
])('reads the last rows, and all rows: %s', async (_, cells) => {
  const { path, length } = await setUp(cells);
  const expected = cells.slice(-5).map((cell) => [cell, '1']);
  expect(await readTail(path, length, 5)).toEqual(expected);
  const rows = await Array.fromAsync(readRows(path, length));
  expect(rows.map((row) => row.cells)).toEqual(cells.map((a) => ({ a, b: '1' })));
  expect(rows.map(({ row }) => row)).toEqual(cells.map((__, i) => i + 1));
  if (rows[1])
    expect(rows[1].offset).toBe(Buffer.byteLength(`a,b\r\n${quote(cells[0] as string)},1\r\n`));
});

it('fails on a file that is not there', async () => {
  await expect(readTail('/nowhere/file.csv', 5, 5)).rejects.toThrow('ENOENT');
  await expect(Array.fromAsync(readRows('/nowhere/file.csv', 5))).rejects.toThrow('ENOENT');
});
