import {
  decodeJson,
  JsonError,
  MAX_DEPTH,
  parseExactly,
  parseForeignJson,
} from 'service-kit/foreign-json';
import type { HttpStream } from './http-client.ts';
import { excerpt } from './http-response.ts';
import { fieldNames, shorten } from './shorten.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** What may stand before a value: white space and the bytes of the byte order mark. */
const BLANKS = Buffer.from(' \t\r\n\ufeff');

/** As much of a body as `excerpt` looks at. */
const HEAD_BYTES = 500;
/** How much of a body that is no array may come before its first character alone names it. */
const MAX_OTHER_BYTES = 1_000_000;
const NAMES = new Map([
  [OPEN_OBJECT, 'a JSON object'],
  [QUOTE, 'a JSON string'],
]);

/** As deep as the array with an element that is still taken whole. */
const DEEPEST = 1 + MAX_DEPTH;

/**
 * The elements of a body that is one JSON array, each as soon as it is there. Holds no more of the
 * body than one chunk and one element, and accepts what `JSON.parse` accepts of the whole body in
 * UTF-8, with or without a byte order mark, as `parseForeignJson` does. Of an element that nests deeper
 * than `MAX_DEPTH`, what is deeper reads as null, so that it stops no other one. A body may be refused
 * after any number of elements: they are good for use when the last one has come. A caller who stops
 * earlier closes the body.
 *
 * @throws {Error} `expected a JSON array of customers, but got broken JSON (text/html): <h1>Sign in`
 * and the like, with the flaw that comes first; of an array or an object, which may hold names of people,
 * no content is shown. Also whatever reading the body throws
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
  // The body is parsed in runs of elements, each made an array of its own. If all of them are arrays
  // for JSON.parse, then so is the body, wherever the commas between them were found.
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
    // Without elements, there is a comma too many.
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
    // An error should show as much of the body as if it had come in one chunk.
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
 * Gives each chunk back with null for what nests too deep, and the last comma in it between two elements
 * of the array, or -1. In broken JSON it is any comma or none.
 */
function createScanner(): (chunk: Buffer) => { bytes: Buffer; comma: number } {
  let depth = 0;
  let isInString = false;
  let start = 0;
  return (chunk) => {
    let comma = -1;
    const kept: Buffer[] = [];
    let keptBytes = 0;
    // Where what is kept begins; while it is too deep, nowhere.
    let from = depth > DEEPEST ? chunk.length : 0;
    const keep = (bytes: Buffer) => {
      keptBytes += bytes.length;
      kept.push(bytes);
    };
    let at = start;
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      // What is escaped may be in the next chunk.
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
