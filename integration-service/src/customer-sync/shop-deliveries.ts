/** What the ledger knows of the shop's customers, also of those who are deleted. */
import { type Kysely, sql } from 'kysely';
import type { Status } from '../delivery/delivery.ts';
import { isSqlite, textsOf, unindexed } from '../delivery/ledger/rows.ts';
import type { LedgerTransaction } from '../delivery/ledger/tables.ts';
import { CUSTOMER_SYNC } from './item.ts';

/** Whether the shop never had a customer. */
export async function isNewShop(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql`
    select 1 where exists (select 1 from customers)
      or exists (select 1 from deliveries where flow = ${CUSTOMER_SYNC})`.execute(db);
  return rows.length === 0;
}

/** Whether a change was made then or later, Unix time in milliseconds. */
export async function isChangedSince(db: Kysely<unknown>, time: number): Promise<boolean> {
  const { rows } = await sql`
    select 1 from deliveries
    where created_at >= ${time} and ${unindexed(sql`flow = ${CUSTOMER_SYNC}`)} limit 1`.execute(db);
  return rows.length > 0;
}

/** Those of these ids whose records are gone. */
export async function deletedAmong(db: Kysely<unknown>, ids: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ lane: string }>`
    select lane from ended_lanes where lane in ${textsOf(db, ids)}`.execute(db);
  return rows.map(({ lane }) => lane);
}

/** Whether some of these deliveries are under way, or have just come to their end. */
export async function isAnyOpen(db: Kysely<unknown>, keys: readonly string[]): Promise<boolean> {
  const { rows } = await sql`
    select 1 from deliveries where flow = ${CUSTOMER_SYNC} and key in ${textsOf(db, keys)}
      and ${unindexed(sql`status not in ('dead', 'held', 'superseded')`)} limit 1`.execute(db);
  return rows.length > 0;
}

/** An arbitrary number that nothing else locks in the same database. */
const DELETION_LOCK = 2_026_113_002;

/** The last delete of a customer, whom nobody else deletes once more before the transaction ends. */
export async function lockDeletion(
  transaction: LedgerTransaction,
  id: string,
): Promise<{ key: string; status: Status; updatedAt: number } | undefined> {
  if (!isSqlite(transaction)) {
    await sql`select pg_advisory_xact_lock(${DELETION_LOCK}, hashtext(${id}))`.execute(transaction);
  }
  const { rows } = await sql<{ key: string; status: Status; updated_at: number }>`
    select key, status, updated_at from deliveries
    where lane = ${id} and lane != key and flow = ${CUSTOMER_SYNC} and operation = 'delete'
    order by sequence desc limit 1`.execute(transaction);
  return rows[0] && { ...rows[0], updatedAt: rows[0].updated_at };
}
