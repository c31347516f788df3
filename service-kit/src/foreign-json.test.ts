import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonError, MAX_DEPTH, numberTextSchema, parseForeignJson } from './foreign-json.ts';

const flawOf = (json: Buffer | string) => {
  try {
    return parseForeignJson(json);
  } catch (error) {
    return (error as JsonError).flaw;
  }
};
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('JSON from outside', () => {
  it('is what JSON.parse makes of it, as text and as bytes', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        // Serialized again, because a long number is an object until then.
        const again = JSON.stringify(JSON.parse(text));
        const parsed = [parseForeignJson(text), parseForeignJson(Buffer.from(text))];
        for (const value of parsed) {
          expect(JSON.stringify(JSON.parse(JSON.stringify(value)))).toBe(again);
        }
      }),
    );
  });

  it('may begin with a byte order mark, and no more than one', () => {
    expect(parseForeignJson('\ufeff{"a":1}')).toEqual({ a: 1 });
    expect(parseForeignJson(Buffer.from('\ufeff{"a":1}'))).toEqual({ a: 1 });
    expect(flawOf('\ufeff\ufeff1')).toBe('syntax');
    expect(flawOf(Buffer.from('\ufeff\ufeff1'))).toBe('syntax');
  });

  it('is refused with what is wrong with it', () => {
    expect(flawOf(Buffer.from('"\xff"', 'latin1'))).toBe('encoding');
    expect(flawOf('{')).toBe('syntax');
    expect(() => parseForeignJson('{')).toThrow(JsonError);
    expect(() => parseForeignJson('{')).toThrow('it is not JSON');
  });

  it('nests as deep as it may, and no deeper, also when it has long numbers or no end', () => {
    expect(flawOf(nested(MAX_DEPTH))).toEqual(JSON.parse(nested(MAX_DEPTH)));
    expect(flawOf(nested(MAX_DEPTH + 1))).toBe('depth');
    expect(flawOf(nested(2_000_000))).toBe('depth');
    expect(flawOf(`[12345678901234567890,${nested(2_000_000)}]`)).toBe('depth');
    expect(flawOf('{"a":'.repeat(100_000))).toBe('depth');
    expect(flawOf(`"\\"${nested(2_000)}"`)).toBe(`"${nested(2_000)}`);
  });
});

describe('a number in JSON from outside', () => {
  it('keeps its digits beyond 2^53, wherever it stands, when it is written again', () => {
    const long = fc.bigInt({ min: 2n ** 53n, max: 10n ** 40n }).map((value) => `${value}`);
    const number = fc.oneof(
      long,
      long.map((text) => `-${text}`),
      fc.maxSafeInteger().map(String),
    );
    fc.assert(
      fc.property(fc.array(number), fc.string({ maxLength: 40 }), (numbers, before) => {
        const text = `[${[JSON.stringify(before), ...numbers].join(',')}]`;
        expect(JSON.stringify(parseForeignJson(text))).toBe(text);
      }),
    );
  });

  it('is a number like any other up to 2^53, however long it is written', () => {
    expect(
      parseForeignJson('[9007199254740991,1.00000000000000000,0.1234567890123456789]'),
    ).toEqual([9007199254740991, 1, 0.12345678901234568]);
    expect(parseForeignJson('"9007199254740993"')).toBe('9007199254740993');
  });

  it('can be read as the text that it is', () => {
    const textOf = (json: string) => numberTextSchema.safeParse(parseForeignJson(json)).data;
    expect(textOf('7')).toBe('7');
    expect(textOf('9007199254740993')).toBe('9007199254740993');
    expect(textOf('"7"')).toBeUndefined();
    expect(textOf('{"rawJSON":"7"}')).toBeUndefined();
  });
});
