import { createHash } from 'node:crypto';
import { type Kysely, sql, type Transaction } from 'kysely';
import { rowsOf } from './rows.ts';
import type { Tables } from './tables.ts';

/**
 * How long a webhook is remembered. Its signature is valid for minutes, but senders sign again at each
 * retry, and retries go on for 76 h in the schedule that Standard Webhooks shows.
 */
const KEPT_MS = 7 * 24 * 3_600_000;

/** The part of the ledger that remembers which webhooks were accepted. */
export function createWebhooks(db: Kysely<Tables>) {
  return {
    /** Whether any process has accepted a webhook with this id before. */
    async isKnownWebhook(id: string): Promise<boolean> {
      const row = await db
        .selectFrom('webhooks')
        .select('id')
        .where('id', '=', fingerprint(id))
        .executeTakeFirst();
      return row !== undefined;
    },
  };
}

/** Remembers webhooks, and forgets those that are too old to come again. */
export async function insertWebhooks(
  transaction: Transaction<Tables>,
  ids: string[],
  now: number,
): Promise<void> {
  await transaction
    .deleteFrom('webhooks')
    .where('received_at', '<', now - KEPT_MS)
    .execute();
  const rows = ids.map((id) => [fingerprint(id)]);
  await sql`
    insert into webhooks (id, received_at)
    select value->>0, cast(${now} as bigint) from ${rowsOf(transaction, rows)} where true
    on conflict (id) do nothing`.execute(transaction);
}

/** A hash has a fixed length, and no characters that a database cannot store. */
function fingerprint(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}
