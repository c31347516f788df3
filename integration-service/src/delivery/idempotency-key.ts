import { createHash } from 'node:crypto';

/** What APIs take at the least. */
const MAX_LENGTH = 255;

/**
 * The value of the `Idempotency-Key` header of a delivery, `"<leg>/<key>"`, quoted
 * (draft-ietf-httpapi-idempotency-key-header). It depends on nothing else, so that every repetition,
 * from whichever process and after whichever crash, is recognised.
 *
 * What a header cannot carry is percent-encoded; a key that would be too long is named by its hash,
 * after a `:`, which no other key has.
 */
export function idempotencyKey(leg: string, key: string): string {
  const name = `${leg}/${encodeURIComponent(key)}`;
  if (name.length <= MAX_LENGTH) return `"${name}"`;
  return `"${leg}/sha256:${createHash('sha256').update(key).digest('hex')}"`;
}
