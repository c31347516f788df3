import { open } from 'node:fs/promises';
import { parse } from 'csv-parse/sync';

const FIRST_LOOK = 64 * 1024;
const [QUOTE, CR, LF] = [0x22, 0x0d, 0x0a];

/**
 * The last rows of a file of so many bytes, in their order, without reading what is before them.
 *
 * @param count how many at the most
 */
export async function readTail(path: string, length: number, count: number): Promise<string[][]> {
  const file = await open(path, 'r');
  try {
    for (let size = FIRST_LOOK; ; size *= 4) {
      const start = Math.max(0, length - size);
      const { buffer, bytesRead } = await file.read({
        ...{ buffer: Buffer.alloc(length - start), position: start },
      });
      const bytes = buffer.subarray(0, bytesRead);
      const begins = lineBegins(bytes, start === 0);
      // The first line of the file is its header.
      const rows = start === 0 ? begins.slice(1) : begins;
      if (rows.length < count && start > 0) continue;
      const from = rows.at(-count) ?? rows[0];
      if (from === undefined) return [];
      return parse(bytes.subarray(from), { relax_column_count: true });
    }
  } finally {
    await file.close();
  }
}

/**
 * Where lines begin. Outside of quotes at the end, one is inside of them at the beginning if the number of quotes
 * between is odd.
 */
function lineBegins(bytes: Buffer, isWhole: boolean): number[] {
  let isInside = bytes.reduce((odd, byte) => (byte === QUOTE ? !odd : odd), false);
  const begins = isWhole && bytes.length > 0 ? [0] : [];
  for (const [i, byte] of bytes.entries()) {
    if (byte === QUOTE) isInside = !isInside;
    const isEnd = byte === LF && bytes[i - 1] === CR && !isInside;
    if (isEnd && i + 1 < bytes.length) begins.push(i + 1);
  }
  return begins;
}
