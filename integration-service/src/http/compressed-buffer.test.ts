import { expect, it } from 'vitest';
import { createCompressedBuffer } from './compressed-buffer.ts';

it('gives back the lines that were added, as often as it is asked', () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => JSON.stringify([i, 'Zoë Müller\n']));
  const buffer = createCompressedBuffer();
  expect([[...buffer], buffer.length, buffer.byteLength]).toEqual([[], 0, 0]);
  for (const line of lines) buffer.add(line);
  for (let i = 0; i < 2; i++) expect([...buffer]).toEqual(lines);
  expect(buffer.length).toBe(lines.length);
  expect(buffer.byteLength).toBe(Buffer.byteLength(`${lines.join('\n')}\n`));
});
