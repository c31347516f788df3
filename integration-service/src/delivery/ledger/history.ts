import { sql } from 'kysely';
import { shorten } from '../../shorten.ts';
import { chunksOf } from '../chunks.ts';
import type { EventOfDelivery } from './ledger.ts';
import { rowsOf } from './rows.ts';
import type { LedgerTransaction } from './tables.ts';

/** The most characters stored of a text from outside. */
const MOST_STORED = 1_000;

/** Adds lines to the histories of deliveries. */
export async function insertEvents(
  transaction: LedgerTransaction,
  at: number,
  events: EventOfDelivery[],
): Promise<void> {
  for (const chunk of chunksOf(events)) {
    const rows = chunk.map(({ delivery, what, attempt, statusCode, reason, nextAttemptAt }) => [
      ...[delivery, what, attempt ?? null, statusCode ?? null],
      ...[storable(reason ?? null), nextAttemptAt ?? null],
    ]);
    await sql`
      insert into events (delivery, at, what, attempt, status_code, reason, next_attempt_at)
      select cast(value->>0 as bigint), cast(${at} as bigint), value->>1, cast(value->>2 as integer),
        cast(value->>3 as integer), value->>4, cast(value->>5 as bigint)
      from ${rowsOf(transaction, rows)}`.execute(transaction);
  }
}

/** A text from another system, shortened, in characters that PostgreSQL can store. */
export function storable<Text extends string | null>(text: Text): Text {
  if (text === null) return text;
  return shorten(text, MOST_STORED).replaceAll('\0', '\ufffd').toWellFormed() as Text;
}
