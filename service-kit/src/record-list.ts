import { randomUUID } from 'node:crypto';
import { setImmediate as yieldToOthers } from 'node:timers/promises';

/** A part of a list as a JSON array: its size, and its text in pieces of 256 kB, or larger records. */
export interface JsonArray {
  byteLength: number;
  pieces: Iterable<Buffer>;
  /** A strong entity tag, with its quotes: equal only for the same part of the same list, unchanged. */
  etag: string;
}

/** A part of a list, and the number of the first record behind it. */
export interface Slice extends JsonArray {
  end: number;
}

export interface ReadableList {
  /** Identifies this list among all lists, also those of earlier and later processes. */
  readonly epoch: string;
  /** How many records were ever added: the number of the next one. */
  readonly length: number;
  /**
   * The records from a number on, as they are now, even if others are added or changed while it is read.
   *
   * @param limit how many at the most. Default: all
   */
  slice(from: number, limit?: number): Slice;
}

export interface RecordList extends ReadableList {
  /** Adds a record, given as JSON text; returns its number, from 0. */
  append(json: string): number;
  /** Replaces a record; `undefined` removes it. Its number is never given again. */
  change(number: number, json: string | undefined): void;
  /** The JSON text of a record; empty when it was removed. */
  at(number: number): string;
  /**
   * The records with these numbers. The tag counts them and the changes of the whole list, so use it for one
   * URL whose records only grow.
   */
  pick(numbers: readonly number[]): JsonArray;
  /** The same records in another form, which is made when it is read and kept until its block changes. */
  view(toJson: (json: string, number: number) => string): PreparedList;
}

export interface PreparedList extends ReadableList {
  /** Makes what a slice needs, in short pieces, so that others get their turn. */
  prepare(from: number, limit?: number): Promise<void>;
}

/** Records that follow each other, each after a comma. Bytes never change once written: a change makes new ones. */
interface Block {
  /** The number of its first record. */
  first: number;
  /** For each record, the offset of its comma. A removed record has no bytes. */
  starts: number[];
  bytes: Buffer;
  size: number;
  /** The number of the last change of the list that this block was part of. */
  revision: number;
}

const BLOCK_BYTES = 256 * 1024;
const [OPEN, CLOSE] = [Buffer.from('['), Buffer.from(']')];

/**
 * Records in order of arrival, stored as the bytes that are sent: a record is serialized once, however
 * often and from whatever number the list is read. A change copies one block.
 */
export function createRecordList(): RecordList {
  const epoch = randomUUID().slice(-12);
  const blocks: Block[] = [];
  let length = 0;
  let revision = 0;

  function indexOf(number: number): number {
    let [low, high] = [0, blocks.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((blocks[middle] as Block).first <= number) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The block with room for a new record; a record never spans two. */
  function reserve(size: number): Block {
    const last = blocks.at(-1);
    if (last && last.size + size <= last.bytes.length) return last;
    const bytes = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, size));
    const block = { first: length, starts: [], bytes, size: 0, revision: 0 };
    blocks.push(block);
    return block;
  }

  /** The bytes of a record, with its comma. */
  function find(number: number): Buffer {
    const block = blocks[indexOf(number)] as Block;
    return bytesOf(block, number - block.first, number - block.first + 1);
  }

  /** Cuts a part out of blocks, which may be those of a view. */
  function sliceOf(read: (block: Block) => Block, from: number, limit = Infinity): Slice {
    const pieces: Buffer[] = [];
    let end = from;
    let newest = 0;
    let missing = limit;
    for (let i = indexOf(from); i < blocks.length && missing > 0; i++) {
      const block = read(blocks[i] as Block);
      const begin = end - block.first;
      const { to, count } = advance(block, begin, missing);
      missing -= count;
      pieces.push(bytesOf(block, begin, to));
      newest = Math.max(newest, block.revision);
      end = block.first + to;
    }
    return { ...asArray(pieces, `${epoch}-${from}-${end}-${newest}`), end };
  }

  return {
    epoch,
    get length() {
      return length;
    },
    append(json) {
      const text = `,${json}`;
      const size = Buffer.byteLength(text);
      const block = reserve(size);
      block.bytes.write(text, block.size);
      block.starts.push(block.size);
      block.size += size;
      return length++;
    },
    change(number, json) {
      const block = blocks[indexOf(number)] as Block;
      const index = number - block.first;
      const [before, after] = [
        bytesOf(block, 0, index),
        bytesOf(block, index + 1, block.starts.length),
      ];
      const record = Buffer.from(json === undefined ? '' : `,${json}`);
      const size = before.length + record.length + after.length;
      const moved = size - block.size;
      // The last block keeps its room for more.
      const room = block === blocks.at(-1) ? Math.max(BLOCK_BYTES, size) : size;
      block.bytes = Buffer.concat([before, record, after], room);
      block.size = size;
      for (let i = index + 1; i < block.starts.length; i++)
        block.starts[i] = startOf(block, i) + moved;
      block.revision = ++revision;
    },
    at: (number) => find(number).toString('utf8', 1),
    slice: (from, limit) => sliceOf((block) => block, from, limit),
    pick(numbers) {
      return asArray(numbers.map(find), `${epoch}-${numbers.length}-${revision}`);
    },
    view(toJson) {
      const cache = new WeakMap<Block, Block>();

      function read(block: Block): Block {
        const known = cache.get(block);
        const isOld = known?.revision !== block.revision;
        if (known && !isOld && known.starts.length === block.starts.length) return known;
        // What was added goes behind what is known.
        const base = known && !isOld ? known : { starts: [], bytes: CLOSE, size: 0 };
        const starts = [...base.starts];
        const texts: string[] = [];
        let size = base.size;
        for (let i = starts.length; i < block.starts.length; i++) {
          starts.push(size);
          const json = bytesOf(block, i, i + 1).toString('utf8', 1);
          if (json === '') continue;
          const text = `,${toJson(json, block.first + i)}`;
          texts.push(text);
          size += Buffer.byteLength(text);
        }
        const bytes = Buffer.concat([
          base.bytes.subarray(0, base.size),
          Buffer.from(texts.join('')),
        ]);
        const made = { first: block.first, starts, bytes, size, revision: block.revision };
        cache.set(block, made);
        return made;
      }

      return {
        epoch,
        get length() {
          return length;
        },
        slice: (from, limit) => sliceOf(read, from, limit),
        async prepare(from, limit = Infinity) {
          let missing = limit;
          for (let i = indexOf(from); i < blocks.length && missing > 0; i++) {
            const block = read(blocks[i] as Block);
            missing -= advance(block, Math.max(0, from - block.first), missing).count;
            await yieldToOthers();
          }
        },
      };
    },
  };
}

function startOf({ starts, size }: Block, index: number): number {
  return starts[index] ?? size;
}

/** The bytes of the records from an index of a block to before another. */
function bytesOf(block: Block, from: number, to: number): Buffer {
  return block.bytes.subarray(startOf(block, from), startOf(block, to));
}

/** The index behind so many records of a block, or its end, and how many were counted; removed ones are not. */
function advance(block: Block, from: number, limit: number): { to: number; count: number } {
  if (limit === Infinity) return { to: block.starts.length, count: 0 };
  let count = 0;
  let to = from;
  for (; to < block.starts.length && count < limit; to++) {
    if (startOf(block, to) < startOf(block, to + 1)) count += 1;
  }
  return { to, count };
}

/** Pieces of records as an array: its bracket replaces the first comma. */
function asArray(records: readonly Buffer[], version: string): JsonArray {
  const [first, ...others] = records.filter((piece) => piece.length > 0);
  const pieces = first ? [OPEN, first.subarray(1), ...others, CLOSE] : [OPEN, CLOSE];
  const byteLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return { byteLength, pieces, etag: `"${version}"` };
}
