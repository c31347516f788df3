import { createHash } from 'node:crypto';
import { numberTextSchema } from 'service-kit/foreign-json';
import type { RejectedRecord } from './ledger.ts';

/** A record of a list has a handful of values; a malicious one may have millions. */
const MAX_VALUES = 10_000;

/**
 * Identifies a record without storing any of it: a SHA-256 of the first 10,000 values in it. Deep or long
 * records are not written out for it. Ledgers store fingerprints, so that the algorithm must not change.
 */
export function fingerprintOf(record: unknown): string {
  const hash = createHash('sha256');
  const waiting: unknown[] = [record];
  for (let count = 0; count < MAX_VALUES && waiting.length > 0; count++) {
    const value = waiting.pop();
    if (typeof value !== 'object' || value === null || JSON.isRawJSON(value)) {
      hash.update(`${JSON.stringify(value) ?? typeof value},`);
      continue;
    }
    const isArray = Array.isArray(value);
    // Because the length follows the opening bracket, no closing bracket is needed.
    const children = isArray ? value.slice(0, MAX_VALUES) : Object.entries(value).flat();
    hash.update(`${isArray ? '[' : '{'}${children.length},`);
    for (let i = children.length - 1; i >= 0; i--) waiting.push(children[i]);
  }
  return hash.digest('hex');
}

/** Longer ids do not help the reader. */
const MAX_ID_CHARACTERS = 100;

/** The id of a record for people, or what is in the place of the id; null when there is none. */
export function shownIdOf(record: unknown): string | null {
  const id =
    typeof record === 'object' && record !== null && 'id' in record ? record.id : undefined;
  if (id === undefined || id === null || id === '') return null;
  const number = numberTextSchema.safeParse(id).data;
  if (typeof id === 'object' && number === undefined) {
    return Array.isArray(id) ? 'an array' : 'an object';
  }
  const whole = number ?? String(id);
  const text = whole.slice(0, MAX_ID_CHARACTERS).toWellFormed();
  return whole.length > text.length ? `${text}…` : text;
}

/** A record that cannot be used, at its position in the list. */
export type UnusableRecord = RejectedRecord & { position: number };

/** What may be kept and shown of a record that cannot be used: nothing else of its content. */
export function unusableRecord(record: unknown, position: number, reason: string): UnusableRecord {
  return { fingerprint: fingerprintOf(record), position, id: shownIdOf(record), reason };
}
