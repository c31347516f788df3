import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalId, idFlaw } from './customer-id.ts';

const UUID = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';
const BARE = UUID.replaceAll('-', '');

describe('the form of an id by which it is compared', () => {
  it.each([
    UUID,
    UUID.toUpperCase(),
    BARE,
    BARE.toUpperCase(),
    `{${UUID}}`,
    `{${UUID.toUpperCase()}}`,
    `urn:uuid:${UUID}`,
    `URN:UUID:${UUID.toUpperCase()}`,
  ])('is the same for every way to write a UUID: %s', (id) => {
    expect(canonicalId(id)).toBe(UUID);
  });

  it.each([
    '42',
    '042',
    'Alice',
    'ALICE@example.com',
    '',
    ' ',
    ` ${UUID}`,
    `${UUID}\n`,
    `${UUID.toUpperCase()}-2`,
    `X${UUID.toUpperCase()}`,
    UUID.toUpperCase().slice(0, -1),
    UUID.toUpperCase().replace('C', 'G'),
    UUID.toUpperCase().replace('-', '--'),
    UUID.toUpperCase().replace('-', ' '),
  ])('is the id itself when it is no UUID: %j', (id) => {
    expect(canonicalId(id)).toBe(id);
  });

  it('is a UUID written the usual way, or the id', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uuid(), fc.string({ unit: 'grapheme' })), (id) => {
        expect(canonicalId(id)).toBe(id);
      }),
    );
  });

  it('is its own form', () => {
    const hex = fc.stringMatching(/^(urn:uuid:)?\{?[0-9a-fA-F-]{30,38}\}?$/);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uuid().map((id) => id.toUpperCase()),
          hex,
        ),
        (id) => {
          expect(canonicalId(canonicalId(id))).toBe(canonicalId(id));
        },
      ),
    );
  });
});

describe('an id', () => {
  it.each([UUID, '42', '0', 'ü', '🎁', 'a'.repeat(1_024), 'ü'.repeat(512), '\ufffd'])(
    'can be used: %j',
    (id) => {
      expect(idFlaw(id)).toBeUndefined();
    },
  );

  const none = 'it has no id';
  const unstorable = 'its id has characters that cannot be stored';
  const long = 'its id is longer than 1024 bytes';
  it.each([
    [undefined, none],
    [null, none],
    ['', none],
    [' ', none],
    ['\ufeff\u200b\t', none],
    [42, 'its id is not a string'],
    [0, 'its id is not a string'],
    [Number.NaN, 'its id is not a string'],
    [false, 'its id is not a string'],
    [{}, 'its id is not a string'],
    [[UUID], 'its id is not a string'],
    ['\0', unstorable],
    [`${UUID}\0`, unstorable],
    ['\ud83c', unstorable],
    ['\udf81\ud83c', unstorable],
    ['a'.repeat(1_025), long],
    ['ü'.repeat(513), long],
  ])('cannot be used, and why: %j', (id, reason) => {
    expect(idFlaw(id)).toEqual(reason);
  });
});
