import type { Transaction } from 'kysely';
import type { Event } from '../delivery.ts';
import type { Tables } from './tables.ts';

/** Rows in one statement: well within the 32,766 parameters that SQLite takes, and soon done. */
export const CHUNK = 500;

export interface EventOfDelivery extends Event {
  /** The delivery's sequence number. */
  delivery: number;
  /** Unix time in milliseconds. */
  nextAttemptAt?: number | null;
}

/** Adds lines to the histories of deliveries. */
export async function insertEvents(
  transaction: Transaction<Tables>,
  at: number,
  events: EventOfDelivery[],
): Promise<void> {
  const rows = events.map(({ delivery, what, attempt, statusCode, reason, nextAttemptAt }) => ({
    delivery,
    at,
    what,
    attempt: attempt ?? null,
    status_code: statusCode ?? null,
    reason: storable(reason ?? null),
    next_attempt_at: nextAttemptAt ?? null,
  }));
  for (const chunk of chunksOf(rows)) {
    await transaction.insertInto('events').values(chunk).execute();
  }
}

/** The items, as arrays of up to 500. */
export function* chunksOf<Item>(items: Iterable<Item>): Generator<Item[]> {
  let chunk: Item[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** What a system has said, in characters that PostgreSQL can store. */
export function storable<Text extends string | null>(text: Text): Text {
  return (text?.replaceAll('\0', '\ufffd').toWellFormed() ?? null) as Text;
}
