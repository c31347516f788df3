/** What the ledger knows of the shop's customers, also of those who are deleted. */
import { type Kysely, sql } from 'kysely';
import type { Operation, Status } from '../delivery/delivery.ts';
import type { Change } from '../delivery/flow.ts';
import { oneByOne } from '../delivery/ingest/group-change.ts';
import { isSqlite, textsOf, unindexed } from '../delivery/ledger/rows.ts';
import type { LedgerTransaction } from '../delivery/ledger/tables.ts';
import { CUSTOMER_SYNC, deletionItem, versionOf } from './item.ts';

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

/** Whether some of these deliveries are under way, or have just come to their end. */
export async function isAnyOpen(db: Kysely<unknown>, keys: readonly string[]): Promise<boolean> {
  const { rows } = await sql`
    select 1 from deliveries where flow = ${CUSTOMER_SYNC} and key in ${textsOf(db, keys)}
      and ${unindexed(sql`status not in ('dead', 'held', 'superseded')`)} limit 1`.execute(db);
  return rows.length > 0;
}

/** Of these deliveries, the id of the customer who was delivered first, before a time, Unix in milliseconds. */
export async function firstDelivered(
  db: Kysely<unknown>,
  keys: readonly string[],
  deliveredBefore: number,
): Promise<string | undefined> {
  const { rows } = await sql<{ lane: string }>`
    select lane from deliveries where flow = ${CUSTOMER_SYNC} and key in ${textsOf(db, keys)}
      and ${unindexed(sql`status = 'delivered'`)} and updated_at < ${deliveredBefore}
    order by updated_at, sequence limit 1`.execute(db);
  return rows[0]?.lane;
}

/** An arbitrary number that nothing else locks in the same database. */
const DELETION_LOCK = 2_026_113_002;

/** Nobody else deletes this customer once more before the transaction ends. */
export async function lockDeletion(transaction: LedgerTransaction, id: string): Promise<void> {
  if (isSqlite(transaction)) return;
  await sql`select pg_advisory_xact_lock(${DELETION_LOCK}, hashtext(${id}))`.execute(transaction);
}

/** The latest delivery of a customer that is not superseded. */
export interface LastDelivery {
  key: string;
  operation: Operation;
  status: Status;
  /** Why it is not delivered. */
  lastError: string | null;
  /** Unix time in milliseconds. */
  updatedAt: number;
}

/** @param operation which of the customer's deliveries count. Default: all */
export async function lastDelivery(
  transaction: LedgerTransaction,
  id: string,
  operation?: Operation,
): Promise<LastDelivery | undefined> {
  const { rows } = await sql<LastDelivery>`
    select key, operation, status, last_error as "lastError", updated_at as "updatedAt" from deliveries
    where lane = ${id} and lane != key and flow = ${CUSTOMER_SYNC}
      and status != 'superseded' and ${operation === undefined ? sql`true` : sql`operation = ${operation}`}
    order by sequence desc limit 1`.execute(transaction);
  return rows[0];
}

interface Removal {
  id: string;
  /** The version that the CRM has. */
  held: number;
  /** When the CRM was asked, Unix time in milliseconds: a later delete was on its way. */
  deliveredBefore: number;
}
type Removed = 'removed' | 'on its way' | 'dead';

/** Deletes a deleted customer from the CRM once more, unless a delete is on its way or dead. */
export async function removeAgain(change: Change, removal: Removal): Promise<Removed> {
  return change(removeOneAgain, removal);
}

const removeOneAgain = oneByOne<Removal, Removed>(
  async (transaction, { id, held, deliveredBefore }) => {
    await lockDeletion(transaction, id);
    const last = await lastDelivery(transaction, id, 'delete');
    const isOver = last?.status === 'delivered' && last.updatedAt < deliveredBefore;
    if (last && !isOver) {
      const isGivenUp = last.status === 'dead' || last.status === 'held';
      return { result: isGivenUp ? 'dead' : 'on its way', items: [] };
    }
    const version = Math.max(held, last ? versionOf(last.key) : 0) + 1;
    return { result: 'removed', items: [deletionItem(id, version)] };
  },
);
