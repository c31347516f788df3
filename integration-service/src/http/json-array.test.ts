import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../test/runs.ts';
import { fieldNames } from '../shorten.ts';
import { readJsonArray } from './json-array.ts';
import { excerpt } from './response.ts';

const headers = { 'content-type': 'text/html' };
const LONG = 'x'.repeat(1_000);

async function* stream(chunks: Iterable<Buffer | string>): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** All elements, or the message of the error. */
function read(chunks: Iterable<Buffer | string>): Promise<unknown> {
  const elements = readJsonArray({ headers, body: stream(chunks) }, 'things');
  return Array.fromAsync(elements).catch((error: Error) => error.message);
}

/** The same result, by the simplest implementation. */
function readWhole(body: Buffer): unknown {
  const expected = 'expected a JSON array of things, but got';
  const opener = body.find((byte) => !Buffer.from(' \t\r\n\ufeff').includes(byte));
  const shown = opener === 0x5b || opener === 0x7b ? '' : `: ${excerpt(body)}`;
  if (body.length === 0) return `${expected} an empty body`;
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (Array.isArray(value)) return value;
    if (value === null) return `${expected} null${shown}`;
    const fields = typeof value === 'object' ? ` with ${fieldNames(value) || 'nothing in it'}` : '';
    return `${expected} a JSON ${typeof value}${fields}${shown}`;
  } catch (error) {
    const flaw = error instanceof SyntaxError ? 'broken JSON' : 'invalid UTF-8';
    return `${expected} ${flaw} (text/html)${shown}`;
  }
}

function cut(body: Buffer, sizes: number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < body.length; i++) {
    const size = sizes[i % sizes.length] ?? body.length;
    chunks.push(body.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

// Characters that could be mistaken for the structure of JSON, and characters of two to four bytes.
const trickyText = fc.string({
  unit: fc.constantFrom('"', '\\', ',', '[', ']', '{', '}', 'a', '\n', 'é', '\ufeff', '🎁'),
});
const element = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  trickyText,
  fc.dictionary(trickyText, fc.array(trickyText, { maxLength: 3 }), { maxKeys: 3 }),
);
const json = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.array(element) }, element),
    fc.constantFrom('', ' ', '\r\n\t'),
  )
  .map(([value, indent]) => JSON.stringify(value, null, indent) + indent);
const flaw = fc.record({
  at: fc.nat(),
  remove: fc.nat({ max: 2 }),
  insert: fc.constantFrom(
    ...['', '', ',', '"', '\\', '[', ']', '{', '}', ' ', '1', '\ufeff', '\x00'],
    ...[[0xff], [0xc3], [0xa9], [0xef, 0xbb]].map((bytes) => Buffer.from(bytes)),
  ),
});
const body = fc
  .record({
    begin: fc.constantFrom('', '', '\ufeff'),
    // Without padding, most bodies would be too short to be parsed in parts.
    padding: fc.constantFrom('', ' '.repeat(500)),
    json,
    flaws: fc.oneof(fc.constant([]), fc.array(flaw, { maxLength: 3 })),
  })
  .map(({ begin, padding, json, flaws }) => {
    let bytes = Buffer.from(json);
    for (const { at, remove, insert } of flaws) {
      const position = at % (bytes.length + 1);
      const rest = bytes.subarray(position + remove);
      bytes = Buffer.concat([bytes.subarray(0, position), Buffer.from(insert), rest]);
    }
    return Buffer.concat([Buffer.from(begin + padding), bytes]);
  });

describe('the elements of a JSON array', () => {
  it('are those of JSON.parse, however broken the body is and wherever it is cut', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(body, sizes, async (body, sizes) => {
        const [actual, expected] = [await read(cut(body, sizes)), readWhole(body)];
        if (typeof actual === 'string' && typeof expected === 'string') {
          // If a body has two flaws, the message names the one that is found first.
          const unnamed = (message: string) => message.replace('invalid UTF-8', 'broken JSON');
          expect(unnamed(actual)).toBe(unnamed(expected));
        } else {
          // Serialized and parsed again, because a long number is an object (`JSON.rawJSON`) before that.
          const again = (value: unknown) => JSON.stringify(JSON.parse(JSON.stringify(value)));
          expect(again(actual)).toBe(again(expected));
        }
      }),
      { numRuns: runs(200) },
    );
  }, 60_000);

  it.each([
    ['a trailing comma', '[1,]', 'broken JSON (text/html)'],
    ['a leading comma', '[,1]', 'broken JSON (text/html)'],
    ['a missing comma', '[1 2]', 'broken JSON (text/html)'],
    ['a second array', '[1][2]', 'broken JSON (text/html)'],
    ['a truncated list', '[1,{"a":', 'broken JSON (text/html)'],
    ['a second byte order mark', '\ufeff\ufeff[]', 'broken JSON (text/html)'],
    ['white space', ' \n', 'broken JSON (text/html): '],
    ['HTML', '<h1>[1, 2]</h1>', 'broken JSON (text/html): <h1>[1, 2]</h1>'],
    ['nothing', '', 'an empty body'],
    ['null', 'null', 'null: null'],
    ['an object', '{"a":[1,2],"b":3}', 'a JSON object with a, b'],
    ['a broken object', '{"a":[1,2],}', 'broken JSON (text/html)'],
    ['a boolean', ' true ', 'a JSON boolean: true'],
    ['a long number', '12345678901234567890', 'a JSON number: 12345678901234567890'],
  ])('are refused for %s, in one chunk and in many', async (_, text, found) => {
    const message = `expected a JSON array of things, but got ${found}`;
    const body = Buffer.from(text);
    expect(await read([body])).toBe(message);
    expect(await read(cut(body, [1]))).toBe(message);
  });

  it.each(['[,1]', '[1,]', '[1,,2]', '[1 2]', '[1][2]', '[1],', '[1', '[1,', '[1}', '[1,\ufeff2]'])(
    'are refused for %s, when it comes in parts that are judged one by one',
    async (text) => {
      const body = Buffer.from(' '.repeat(500) + text);
      expect(await read(cut(body, [1]))).toBe(
        'expected a JSON array of things, but got broken JSON (text/html)',
      );
    },
  );

  it.each([
    ['in a string', [`["${LONG}",2,"a`, Buffer.from([0xff]), '"]']],
    ['between elements', [`["${LONG}",2,`, Buffer.from([0xff]), ',3]']],
    ['across a comma', [`["${LONG}",2`, Buffer.from([0xc3, 0x2c, 0xa9]), '3]']],
    ['after the end', [`["${LONG}",2]`, Buffer.from([0xff])]],
  ])('are refused for invalid UTF-8 %s, and not shown', async (_, chunks) => {
    expect(await read(chunks)).toBe(
      'expected a JSON array of things, but got invalid UTF-8 (text/html)',
    );
  });

  it('are refused without a content type, too', async () => {
    const elements = readJsonArray({ headers: {}, body: stream(['<']) }, 'things');
    await expect(elements.next()).rejects.toThrow('got broken JSON (no content type): <');
  });

  it.each([
    ['an object', '{"a":[1,', '2,', 'a JSON object'],
    ['a string', '"', ' [1,2] ', 'a JSON string: " [1,2] [1,2]'],
    ['HTML', ' <h1>', '[1,2]', 'broken JSON (text/html): <h1>[1,2]'],
  ])('are refused for %s of any length after a megabyte', async (_, begin, more, found) => {
    let bytes = 0;
    function* long() {
      yield begin;
      while (bytes < 10_000_000) {
        const chunk = more.repeat(10_000);
        bytes += chunk.length;
        yield chunk;
      }
    }
    expect(await read(long())).toContain(`got ${found}`);
    expect(bytes).toBeGreaterThan(990_000);
    expect(bytes).toBeLessThan(1_100_000);
  });

  it.each([1, 7, 65_536])(
    'read as null where one of them nests too deep, in chunks of %d bytes, and stop no other one',
    async (size) => {
      const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
      const [deepest, tooDeep] = [nested(999), nested(size < 10 ? 3_000 : 2_000_000)];
      const cut1000 = `${'['.repeat(1_000)}null${']'.repeat(1_000)}`;
      const list = (deep: string, array: string) =>
        `[${' '.repeat(500)}{"id":"a"},{"id":"b\\"","deep":${deep},"after":[1]},${array},` +
        `{"id":12345678901234567890,"whole":${deepest}},"]"]`;
      const body = Buffer.from(list(tooDeep, tooDeep));
      const elements = await read(cut(body, [size]));
      const expected = list(cut1000.slice(1, -1), cut1000).replace(' '.repeat(500), '');
      expect(JSON.stringify(elements)).toBe(expected);
    },
  );

  it('are refused when one nests too deep and has no end', async () => {
    expect(await read([`["${LONG}",`, '['.repeat(100_000)])).toContain('broken JSON');
    expect(await read(['{"a":'.repeat(100_000)])).toContain('broken JSON');
  });

  it('may come after a byte order mark and more than a megabyte of white space', async () => {
    const blanks = ['\ufeff', ...Array<string>(101).fill(' '.repeat(10_000))];
    expect(await read([...blanks, '[1,', '2]'])).toEqual([1, 2]);
  });

  it('are there before the rest of the body is', async () => {
    let pulled = 0;
    function* chunks() {
      for (const chunk of [`["${LONG}",2,{"a`, '":3},4', ']']) {
        pulled += 1;
        yield chunk;
      }
    }
    const seen: [unknown, number][] = [];
    for await (const each of readJsonArray({ headers, body: stream(chunks()) }, 'things')) {
      seen.push([each, pulled]);
    }
    expect(seen).toEqual([
      [LONG, 1],
      [2, 1],
      [{ a: 3 }, 2],
      [4, 3],
    ]);
  });

  it('close the body when nobody wants more of them, or one is refused', async () => {
    for (const text of [`["${LONG}",2,`, `["${LONG}",2 3,`]) {
      let isClosed = false;
      function* long() {
        try {
          for (let chunk = 0; chunk < 100; chunk++) yield text;
        } finally {
          isClosed = true;
        }
      }
      const elements = readJsonArray({ headers, body: stream(long()) }, 'things');
      await elements.next().catch(() => {});
      expect(isClosed).toBe(text.includes('2 3'));
      await elements.return(undefined);
      expect(isClosed).toBe(true);
    }
  });

  it('end with the failure of the body', async () => {
    const failure = new Error('other side closed');
    function* broken() {
      yield `["${LONG}",2,`;
      throw failure;
    }
    const elements = Array.fromAsync(readJsonArray({ headers, body: stream(broken()) }, 'things'));
    await expect(elements).rejects.toBe(failure);
  });

  it('take time in proportion to their size, in small chunks, too', async () => {
    // If the time grew with the square of the size, this would take minutes.
    const chunks = ['["', ...Array<string>(40_000).fill(LONG), '"]'];
    expect(await read(chunks)).toHaveLength(1);
  }, 60_000);
});
