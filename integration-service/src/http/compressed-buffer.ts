import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** Compressing this many takes a fraction of a millisecond. */
const CHUNK_CHARACTERS = 64_000;
/** A compressed chunk keeps the whole buffer that it is a part of in memory, so that buffer is small. */
const FAST = { chunkSize: 32_768, params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Lines kept in memory to be read again, compressed to half their size or less. */
export interface CompressedBuffer extends Iterable<string> {
  readonly length: number;
  /** The size of all lines as UTF-8, uncompressed and with their line feeds. */
  readonly byteLength: number;
  /** @param line well-formed Unicode without a line feed, as `JSON.stringify` makes it */
  add(line: string): void;
}

export function createCompressedBuffer(): CompressedBuffer {
  const chunks: Buffer[] = [];
  let tail = '';
  let length = 0;
  let byteLength = 0;

  return {
    get length() {
      return length;
    },
    get byteLength() {
      return byteLength;
    },
    add(line) {
      tail += `${line}\n`;
      length += 1;
      byteLength += Buffer.byteLength(line) + 1;
      if (tail.length < CHUNK_CHARACTERS) return;
      chunks.push(zstdCompressSync(tail, FAST));
      tail = '';
    },
    *[Symbol.iterator]() {
      for (const chunk of chunks) yield* linesOf(zstdDecompressSync(chunk).toString());
      yield* linesOf(tail);
    },
  };
}

function linesOf(text: string): string[] {
  return text.split('\n').slice(0, -1);
}
