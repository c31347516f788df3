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
const [OPEN, CLOSE] = [Buffer.from('['), Buffer.from(']')];

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
  let bytes = Buffer.from(memory);
  let end = 0;

  const startOf = (position: number) => starts[position] ?? end;

  /** The records in these ranges of bytes as an array: its bracket replaces the first comma. */
  function asArray(ranges: [from: number, to: number][], version: string): JsonArray {
    function* pieces() {
      yield OPEN;
      let skipped = 1;
      for (const [from, to] of ranges) {
        for (let at = from + skipped; at < to; at += PIECE_BYTES) {
          yield bytes.subarray(at, Math.min(at + PIECE_BYTES, to));
        }
        skipped = 0;
      }
      yield CLOSE;
    }
    const size = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
    return { byteLength: Math.max(1, size) + 1, pieces: pieces(), etag: `"${epoch}-${version}"` };
  }

  return {
    epoch,
    get length() {
      return starts.length;
    },
    append(json) {
      const text = `,${json}`;
      const size = Buffer.byteLength(text);
      if (end + size > bytes.length) {
        memory.resize(end + Math.max(PIECE_BYTES, size));
        bytes = Buffer.from(memory);
      }
      bytes.write(text, end);
      end += size;
      return starts.push(end - size) - 1;
    },
    at(position) {
      return bytes.toString('utf8', startOf(position) + 1, startOf(position + 1));
    },
    slice: (from, to) => asArray([[startOf(from), startOf(to)]], `${from}-${to}`),
    pick(positions) {
      const ranges = positions.map((each): [number, number] => [startOf(each), startOf(each + 1)]);
      return asArray(ranges, String(positions.length));
    },
  };
}
