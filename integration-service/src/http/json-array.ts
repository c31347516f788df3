import {
  decodeJson,
  JsonError,
  MAX_DEPTH,
  parseExactly,
  parseForeignJson,
} from 'service-kit/foreign-json';
import { fieldNames, shorten } from '../shorten.ts';
import type { HttpStream } from './client.ts';
import { excerpt } from './response.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** What may stand before a value: white space and the bytes of the byte order mark. */
const BLANKS = Buffer.from(' \t\r\n\ufeff');

/** The number of bytes of a body that `excerpt` reads. */
const HEAD_BYTES = 500;
/** After this many bytes, a body that is not an array is refused and named by its first character alone. */
const MAX_OTHER_BYTES = 1_000_000;
const NAMES = new Map([
  [OPEN_OBJECT, 'a JSON object'],
  [QUOTE, 'a JSON string'],
]);

/** The depth of the array with an element that is nested as deep as allowed. */
const DEEPEST = 1 + MAX_DEPTH;

/**
 * The elements of a body that is one JSON array, each as soon as it has arrived. Keeps at most one chunk and
 * one element of the body in memory. Accepts the same bodies as `JSON.parse`: UTF-8, with or without a byte
 * order mark, like `parseForeignJson`. In an element that nests deeper than `MAX_DEPTH`, the deeper values
 * are read as null, so that the element does not stop the others. A body may be refused after any number of
 * elements: use them only after the last one has arrived. A caller that stops earlier closes the body.
 *
 * @throws {Error} for the first flaw, for example `expected a JSON array of customers, but got broken JSON
 * (text/html): <h1>Sign in`; the message shows no content of an array or object, which may hold names of
 * people. Also throws what reading the body throws
 */
export async function* readJsonArray(
  { headers, body }: Pick<HttpStream, 'headers' | 'body'>,
  what: string,
): AsyncGenerator<unknown> {
  const expected = `expected a JSON array of ${what}, but got`;
  const type = shorten(String(headers['content-type'] ?? 'no content type'), 120);
  const refuse = (found: string) => {
    const hasRecords = opener === OPEN_ARRAY || opener === OPEN_OBJECT;
    return new Error(`${expected} ${found}${hasRecords ? '' : `: ${excerpt(head)}`}`);
  };

  const scan = createScanner();
  let size = 0;
  let head = Buffer.alloc(0);
  let opener: number | undefined;
  // The body is parsed in runs of elements, each wrapped into an array of its own. If JSON.parse accepts
  // every run as an array, the whole body is an array, no matter at which commas it was split.
  let run: Buffer[] = [];
  let isWhole = true;

  function parseRun(): unknown[] {
    let value: unknown;
    const bytes = Buffer.concat(run);
    try {
      value = opener === OPEN_ARRAY ? parseExactly(decodeJson(bytes)) : parseForeignJson(bytes);
    } catch (error) {
      const isText = !(error instanceof JsonError && error.flaw === 'encoding');
      throw refuse(`${isText ? 'broken JSON' : 'invalid UTF-8'} (${type})`);
    }
    if (value === null) throw refuse('null');
    if (!Array.isArray(value)) throw refuse(nameOf(value));
    // A part without elements means that there is a comma too many.
    if (value.length === 0 && !isWhole) throw refuse(`broken JSON (${type})`);
    return value;
  }

  for await (const chunk of body) {
    size += chunk.length;
    if (head.length < HEAD_BYTES) head = Buffer.concat([head, chunk]);
    opener ??= chunk.find((byte) => !BLANKS.includes(byte));
    if (opener !== undefined && opener !== OPEN_ARRAY && size > MAX_OTHER_BYTES) {
      throw refuse(NAMES.get(opener) ?? `broken JSON (${type})`);
    }
    const { bytes, comma } = opener === OPEN_ARRAY ? scan(chunk) : { bytes: chunk, comma: -1 };
    // An error should show as much of the body as if the body had arrived in one chunk.
    if (comma < 0 || size < HEAD_BYTES) {
      run.push(bytes);
    } else {
      isWhole = false;
      run.push(bytes.subarray(0, comma), Buffer.from(']'));
      yield* parseRun();
      run = [Buffer.from('['), bytes.subarray(comma + 1)];
    }
  }
  if (size === 0) throw new Error(`${expected} an empty body`);
  yield* parseRun();
}

function nameOf(value: unknown): string {
  if (JSON.isRawJSON(value)) return 'a JSON number';
  if (typeof value !== 'object' || value === null) return `a JSON ${typeof value}`;
  return `a JSON object with ${fieldNames(value) || 'nothing in it'}`;
}

/**
 * Returns each chunk with null in place of values that nest too deep, and the position of its last comma
 * between two elements of the array, or -1. In broken JSON, that is any comma or none.
 */
function createScanner(): (chunk: Buffer) => { bytes: Buffer; comma: number } {
  let depth = 0;
  let isInString = false;
  let start = 0;
  return (chunk) => {
    let comma = -1;
    const kept: Buffer[] = [];
    let keptBytes = 0;
    // Where the part to keep begins; at the end of the chunk while the depth is too great.
    let from = depth > DEEPEST ? chunk.length : 0;
    const keep = (bytes: Buffer) => {
      keptBytes += bytes.length;
      kept.push(bytes);
    };
    let at = start;
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      // The escaped character may be in the next chunk.
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) isInString = !isInString;
      else if (isInString) continue;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        if (depth++ !== DEEPEST) continue;
        keep(chunk.subarray(from, at));
        from = chunk.length;
      } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
        if (--depth !== DEEPEST) continue;
        keep(Buffer.from('null'));
        from = at + 1;
      } else if (byte === COMMA && depth === 1) comma = keptBytes + at - from;
    }
    start = at - chunk.length;
    if (kept.length === 0 && from === 0) return { bytes: chunk, comma };
    keep(chunk.subarray(from));
    return { bytes: Buffer.concat(kept), comma };
  };
}
