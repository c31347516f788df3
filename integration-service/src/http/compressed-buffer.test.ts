import { expect, it } from 'vitest';
import { createSpool } from './compressed-buffer.ts';

it('gives back the lines that were added, as often as it is asked', () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => JSON.stringify([i, 'Zoë Müller\n']));
  const spool = createSpool();
  expect([[...spool], spool.length, spool.byteLength]).toEqual([[], 0, 0]);
  for (const line of lines) spool.add(line);
  for (let i = 0; i < 2; i++) expect([...spool]).toEqual(lines);
  expect(spool.length).toBe(lines.length);
  expect(spool.byteLength).toBe(Buffer.byteLength(`${lines.join('\n')}\n`));
});
