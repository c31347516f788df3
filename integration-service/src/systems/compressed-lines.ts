import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** Compressing this many takes a fraction of a millisecond. */
const CHUNK_CHARACTERS = 64_000;
/** A compressed chunk keeps the whole buffer that it is a part of in memory, so that buffer is small. */
const FAST = { chunkSize: 32_768, params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Lines of JSON kept in memory to be read again, compressed to half their size or less. */
export function createCompressedLines() {
  const chunks: Buffer[] = [];
  let tail = '';
  let byteLength = 0;
  const linesOf = (text: string) => text.split('\n').slice(0, -1);

  return {
    /** The size of all lines as UTF-8, uncompressed and with their line feeds. */
    get byteLength() {
      return byteLength;
    },
    add(json: string) {
      tail += `${json}\n`;
      byteLength += Buffer.byteLength(json) + 1;
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
