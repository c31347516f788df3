const UUID =
  /^(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;

/**
 * The one form of a customer's id by which ids are compared: a UUID, however it is written,
 * hyphenated and in lower case; anything else as it is. One system writes in upper case what the
 * other keeps in lower case, and it is the same customer.
 */
export function canonicalId(id: string): string {
  const groups = UUID.exec(id)?.slice(1);
  return groups ? groups.join('-').toLowerCase() : id;
}

/** More than any real system's, and small enough for an index of PostgreSQL. */
export const MAX_ID_BYTES = 1_024;

/** Why an id cannot be used; `undefined` when it can. */
export function idFlaw(id: unknown): string | undefined {
  if (id === undefined || id === null) return 'it has no id';
  if (typeof id !== 'string') return 'its id is not a string';
  if (/^[\s\p{Cf}]*$/u.test(id)) return 'it has no id';
  if (!id.isWellFormed() || id.includes('\0')) return 'its id has characters that cannot be stored';
  if (Buffer.byteLength(id) > MAX_ID_BYTES) return `its id is longer than ${MAX_ID_BYTES} bytes`;
  return undefined;
}
