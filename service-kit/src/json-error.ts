const SPACE = /[ \t\n\r]*/y;
const SCALAR = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: no string of JSON has them
const PLAIN_CHARACTERS = /[^"\\\0-\x1f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4}(?!$))/y;

/**
 * The position at which Python's `json`, which the original reads bodies with, reports a syntax error: in
 * UTF-16 units from 0. For a text that ends too early, it is the end of the text; for an unterminated
 * string, the beginning of the string.
 */
export function jsonErrorOffset(text: string): number {
  let at = 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const length = pattern.exec(text)?.[0].length ?? 0;
    at += length;
    return length > 0;
  };
  const takeCharacter = (character: string): boolean => {
    const isThere = text[at] === character;
    if (isThere) at += 1;
    return isThere;
  };

  /** Returns false, with `at` at the error, if there is no valid string. */
  function takeString(): boolean {
    const begin = at;
    if (!takeCharacter('"')) return false;
    for (;;) {
      take(PLAIN_CHARACTERS);
      if (takeCharacter('"')) return true;
      if (take(ESCAPE)) continue;
      // For `\u00x`, Python reports the `u`; for an unterminated string, its beginning.
      const rest = text.slice(at, at + 2);
      if (rest === '\\u') at += 1;
      else if (rest === '' || rest === '\\') at = begin;
      return false;
    }
  }

  function takeKey(): boolean {
    take(SPACE);
    if (!takeString()) return false;
    take(SPACE);
    return takeCharacter(':');
  }

  const closers: string[] = [];
  for (;;) {
    take(SPACE);
    if (takeCharacter('[')) {
      closers.push(']');
      take(SPACE);
      if (text[at] !== ']') continue;
    } else if (takeCharacter('{')) {
      closers.push('}');
      take(SPACE);
      if (text[at] !== '}') {
        if (takeKey()) continue;
        return at;
      }
    } else if (!take(SCALAR) && !takeString()) return at;

    take(SPACE);
    while (closers.length > 0 && takeCharacter(closers.at(-1) as string)) {
      closers.pop();
      take(SPACE);
    }
    if (closers.length === 0 || !takeCharacter(',')) return at;
    if (closers.at(-1) === '}' && !takeKey()) return at;
  }
}
