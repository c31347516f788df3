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

const PIECE_BYTES = 1024 * 1024;
/** Reserved address space, which costs no memory until records fill it. More has no room in a container. */
const MAX_BYTES = 2 ** 30;

/**
 * Records in order of arrival, stored as the bytes that are sent: a record is serialized once, however
 * often and from whatever position the list is read.
 */
export function createRecordList(): RecordList {
  // All records, each after a comma, form one run of bytes: `starts` has the offset of each record's
  // comma. Bytes never change once written.
  const epoch = randomUUID().slice(-12);
  const memory = new ArrayBuffer(0, { maxByteLength: MAX_BYTES });
  const starts: number[] = [];
  let end = 0;

  function* bytesBetween(from: number, to: number): Generator<Buffer> {
    for (; from < to; from += PIECE_BYTES) {
      yield Buffer.from(memory, from, Math.min(PIECE_BYTES, to - from));
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
      if (end + size > memory.byteLength) memory.resize(end + Math.max(PIECE_BYTES, size));
      Buffer.from(memory, end, size).write(text);
      end += size;
      return starts.push(end - size) - 1;
    },
    at(position) {
      const start = startOf(position) + 1;
      return Buffer.from(memory, start, startOf(position + 1) - start).toString();
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
