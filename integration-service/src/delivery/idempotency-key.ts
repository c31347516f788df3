import { createHash } from 'node:crypto';

/** A length that every API accepts. */
const MAX_LENGTH = 255;

/**
 * The value of the `Idempotency-Key` header of a delivery, `"<flow>/<key>"`, quoted
 * (draft-ietf-httpapi-idempotency-key-header). It depends on nothing else, so that the target recognises
 * every repetition, from any process and after any crash.
 *
 * Characters that a header cannot carry are percent-encoded. A key that would be too long is replaced by
 * its hash after a `:`, a character that no other encoded key contains.
 */
export function idempotencyKey(flow: string, key: string): string {
  const name = `${flow}/${encodeURIComponent(key)}`;
  if (name.length <= MAX_LENGTH) return `"${name}"`;
  return `"${flow}/sha256:${createHash('sha256').update(key).digest('hex')}"`;
}
