import { randomUUID } from 'node:crypto';

/**
 * A part of a list as a JSON array: its size, and its text in pieces of up to 1 MB or of one larger
 * record.
 */
export interface JsonArray {
  byteLength: number;
  pieces: Iterable<Buffer>;
  /** A strong entity tag, with its quotes: equal only for the same part of the same list. */
  etag: string;
}

export interface RecordList {
  /** Identifies this list among all lists, also those of earlier and later processes. */
  readonly epoch: string;
  readonly length: number;
  /** Adds a record, given as JSON text; returns its position, from 0. */
  append(json: string): number;
  /** The JSON text of the record at a position. */
  at(position: number): string;
  /** The records from `from` to before `to`, as they are now, even if more are added while it is read. */
  slice(from: number, to: number): JsonArray;
  /**
   * The records at these positions. The tag is only their number, so use it for one URL whose records only
   * grow.
   */
  pick(positions: readonly number[]): JsonArray;
}

/** Bytes that never change once written; `start` is their offset in the whole list. */
interface Block {
  start: number;
  bytes: Buffer;
}

const BLOCK_BYTES = 1024 * 1024;

/**
 * Records in order of arrival, stored as the bytes that are sent: a record is serialized once, however
 * often and from whatever position the list is read.
 */
export function createRecordList(): RecordList {
  // All records, each after a comma, form one run of bytes: `starts` has the offset of each record's
  // comma.
  const epoch = randomUUID().slice(-12);
  const blocks: Block[] = [];
  const starts: number[] = [];
  let end = 0;

  /** Finds room for a record; a record never spans two blocks. */
  function reserve(size: number): Block {
    const last = blocks.at(-1);
    if (last && end - last.start + size <= last.bytes.length) return last;
    const block = { start: end, bytes: Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, size)) };
    if (last) last.bytes = last.bytes.subarray(0, end - last.start);
    blocks.push(block);
    return block;
  }

  /** The index of the block that has the byte at an offset. */
  function findBlock(offset: number): number {
    let [low, high] = [0, blocks.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((blocks[middle] as Block).start <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function* bytesBetween(from: number, to: number): Generator<Buffer> {
    for (let i = findBlock(from); from < to; i++) {
      const { start, bytes } = blocks[i] as Block;
      const piece = bytes.subarray(from - start, to - start);
      yield piece;
      from += piece.length;
    }
  }

  const startOf = (position: number) => starts[position] ?? end;

  return {
    epoch,
    get length() {
      return starts.length;
    },
    append(json) {
      const text = `,${json}`;
      const size = Buffer.byteLength(text);
      const { start, bytes } = reserve(size);
      bytes.write(text, end - start);
      end += size;
      return starts.push(end - size) - 1;
    },
    at(position) {
      const [bytes] = bytesBetween(startOf(position) + 1, startOf(position + 1));
      return String(bytes);
    },
    slice(from, to) {
      const [first, last] = [startOf(from), startOf(to)];
      const etag = `"${epoch}-${from}-${to}"`;
      return { ...asArray(bytesBetween(first, last), last - first), etag };
    },
    pick(positions) {
      const pieces = positions.flatMap((each) => [
        ...bytesBetween(startOf(each), startOf(each + 1)),
      ]);
      const size = pieces.reduce((sum, { length }) => sum + length, 0);
      return { ...asArray(pieces, size), etag: `"${epoch}-${positions.length}"` };
    },
  };
}

const [OPEN, CLOSE] = [Buffer.from('['), Buffer.from(']')];

/** Turns records, each after a comma, into an array: the first comma becomes the bracket. */
function asArray(records: Iterable<Buffer>, size: number): Omit<JsonArray, 'etag'> {
  function* pieces() {
    let isFirst = true;
    yield OPEN;
    for (const bytes of records) {
      yield isFirst ? bytes.subarray(1) : bytes;
      isFirst = false;
    }
    yield CLOSE;
  }
  return { byteLength: size === 0 ? 2 : size + 1, pieces: pieces() };
}
