import { isUtf8 } from 'node:buffer';
import { z } from 'zod';

/** A number that JSON.stringify writes with its original digits. */
interface RawJson {
  rawJSON: string;
}

declare global {
  // ES2027, not yet in the compiler's library.
  interface JSON {
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
    ): unknown;
    rawJSON(text: string): RawJson;
    isRawJSON(value: unknown): value is RawJson;
  }
}

/** How deep JSON from outside may nest: deeper than any real record, shallow enough for recursive code. */
export const MAX_DEPTH = 1_000;

/** Why JSON from outside cannot be used. For broken JSON, `cause` is the error of `JSON.parse`. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
  readonly code = 'JSON_INVALID';
  readonly flaw: 'encoding' | 'depth' | 'syntax';

  constructor(flaw: JsonError['flaw'], options?: ErrorOptions) {
    const messages = {
      encoding: 'it is not valid UTF-8',
      depth: `it nests deeper than ${MAX_DEPTH} levels`,
      syntax: 'it is not JSON',
    };
    super(messages[flaw], options);
    this.flaw = flaw;
  }
}

/**
 * Parses JSON from outside, with or without a byte order mark. A whole number beyond 2^53 becomes a
 * `JSON.rawJSON` object, which `JSON.stringify` writes with all its digits.
 *
 * @throws {JsonError}
 */
export function parseForeignJson(json: Buffer | string): unknown {
  const text = typeof json === 'string' ? json.replace(/^\ufeff/, '') : decodeJson(json);
  if (isTooDeep(text)) throw new JsonError('depth');
  try {
    return parseExactly(text);
  } catch (cause) {
    throw new JsonError('syntax', { cause });
  }
}

/**
 * Decodes UTF-8 bytes and drops a byte order mark. Invalid bytes are an error: a replacement character
 * could change an id.
 *
 * @throws {JsonError}
 */
export function decodeJson(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new JsonError('encoding');
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.toString('utf8', hasMark ? 3 : 0);
}

/**
 * Like `JSON.parse`, except for whole numbers beyond 2^53. The text must not nest deeper than `MAX_DEPTH`.
 *
 * @throws {SyntaxError}
 */
export function parseExactly(text: string): unknown {
  // With the reviver, parsing takes eight times as long, and hardly any text needs it.
  return hasLongNumber(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
}

/** A number, as its original text. */
export const numberTextSchema = z.union([
  z.number().transform(String),
  z.custom<RawJson>(JSON.isRawJSON).transform(({ rawJSON }) => rawJSON),
]);

function keepDigits(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || !source) return value;
  return WHOLE_NUMBER.test(source) ? JSON.rawJSON(source) : value;
}

const WHOLE_NUMBER = /^-?\d+$/;
/** The number of digits of 2^53. */
const LONG = 16;

/** Whether the text has 16 or more digits in a row. Such a run covers at least one checked position. */
function hasLongNumber(text: string): boolean {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text.charCodeAt(at))) continue;
    let [first, last] = [at, at];
    while (isDigit(text.charCodeAt(first - 1))) first--;
    while (isDigit(text.charCodeAt(last + 1))) last++;
    if (last - first + 1 >= LONG) return true;
  }
  return false;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/**
 * Checks without parsing: a text with millions of levels takes seconds to parse, and more to walk through.
 */
function isTooDeep(text: string): boolean {
  if (text.length <= MAX_DEPTH) return false;
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '\\') at++;
    else if (char === '"') isInString = !isInString;
    else if (isInString) continue;
    else if (char === '[' || char === '{') {
      if (++depth > MAX_DEPTH) return true;
    } else if (char === ']' || char === '}') depth--;
  }
  return false;
}
