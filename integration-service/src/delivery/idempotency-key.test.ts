import fc from 'fast-check';
import { expect, it } from 'vitest';
import { idempotencyKey } from './idempotency-key.ts';

const UUID = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';

it.each([
  ['a UUID', UUID, `"welcome-package/${UUID}"`],
  ['a number', '42', '"welcome-package/42"'],
  [
    'what a header cannot carry',
    'ü "\\\n\0🎁',
    '"welcome-package/%C3%BC%20%22%5C%0A%00%F0%9F%8E%81"',
  ],
  ['what separates', 'a/b:c%2F', '"welcome-package/a%2Fb%3Ac%252F"'],
  ['the longest', 'a'.repeat(239), `"welcome-package/${'a'.repeat(239)}"`],
  [
    'longer: by its hash',
    'a'.repeat(240),
    '"welcome-package/sha256:9b3043905ca79556acb1d2d12f9a4c0bed8ced2bd1a82e7cdf26743069be53e3"',
  ],
  [
    'longer when encoded: by its hash',
    'ü'.repeat(40),
    '"welcome-package/sha256:bdf9bfe506709879f19c108436c04e86a5b561852d5c0af3a300714f52ed2b4f"',
  ],
])('the key of a delivery is its flow and key, quoted: %s', (_, key, expected) => {
  expect(idempotencyKey('welcome-package', key)).toBe(expected);
});

// Keys that could be mistaken for another key: separators and escapes here, hashes of other keys below.
const tricky = fc.string({
  unit: fc.constantFrom(
    '/',
    ':',
    '%',
    '2',
    'F',
    '"',
    '\\',
    ' ',
    '\r',
    '\n',
    '\0',
    'a',
    'A',
    'é',
    '🎁',
  ),
});
const long = fc
  .tuple(fc.string({ unit: 'grapheme' }), fc.integer({ min: 200, max: 300 }))
  .map(([text, length]) => 'a'.repeat(length) + text);
const plain = fc.oneof(fc.uuid(), fc.string({ unit: 'grapheme' }), tricky, long);
/** A key that looks like the idempotency key, or the hash, of another key. */
const lookalike = plain.map((key) => idempotencyKey('a', key).slice(3, -1));
const key = fc.oneof(plain, lookalike);
const flow = fc.constantFrom('welcome-package', 'customer-sync', 'a', 'b');
const name = fc.tuple(flow, key);

it('two deliveries never have the same key', () => {
  const related = plain.chain((text) =>
    fc.tuple(
      fc.tuple(flow, fc.constant(text)),
      fc.tuple(
        flow,
        fc.constantFrom(
          text,
          idempotencyKey('a', text).slice(3, -1),
          encodeURIComponent(text),
          text.toUpperCase(),
          text.trim(),
          `${text}a`,
          text.slice(0, 250).toWellFormed(),
        ),
      ),
    ),
  );
  fc.assert(
    fc.property(fc.oneof(fc.tuple(name, name), related), ([one, other]) => {
      const isSame = one[0] === other[0] && one[1] === other[1];
      expect(idempotencyKey(...one) === idempotencyKey(...other)).toBe(isSame);
    }),
    { numRuns: 1_000 },
  );
});

it('every key is one quoted string of a header, of up to 255 characters', () => {
  fc.assert(
    fc.property(name, ([flow, key]) => {
      const value = idempotencyKey(flow, key);
      // Printable ASCII without the two characters that would have to be escaped.
      expect(value).toMatch(/^"[\x20\x21\x23-\x5b\x5d-\x7e]{2,255}"$/);
      expect(new Headers({ 'idempotency-key': value }).get('idempotency-key')).toBe(value);
    }),
  );
});
