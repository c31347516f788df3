import { nameFlaw } from '../delivery/delivery.ts';

const UUID =
  /^(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;

/**
 * The canonical form of a customer's id, for comparing ids: a UUID, in whatever form it is written, becomes
 * hyphenated and lower case; any other id stays as it is. Two systems may write the UUID of the same customer
 * in upper and in lower case.
 */
export function canonicalId(id: string): string {
  const groups = UUID.exec(id)?.slice(1);
  return groups ? groups.join('-').toLowerCase() : id;
}

/** Why an id cannot be used; `undefined` when it can. */
export function idFlaw(id: unknown): string | undefined {
  if (id === undefined || id === null) return 'it has no id';
  if (typeof id !== 'string') return 'its id is not a string';
  if (/^[\s\p{Cf}]*$/u.test(id)) return 'it has no id';
  const flaw = nameFlaw(id);
  return flaw && `its id ${flaw}`;
}
