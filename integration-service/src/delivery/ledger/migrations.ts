import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import type { Logger } from 'service-kit/logger';
import { emptyLog } from './eraser.ts';
import { giveLedgerToFlows } from './flows-migration.ts';
import { LedgerError } from './ledger-error.ts';
import {
  checkMigrations,
  isOfOldVersion,
  MIGRATION_TABLE,
  type MigrationName,
} from './migration-names.ts';
import { fingerprintOf, shownIdOf } from './record-identity.ts';
import { isSqlite } from './rows.ts';

/** In the order of their names. A migration that has been released is never changed. */
export const MIGRATIONS: Record<MigrationName, Migration> = {
  '2026-11-20-deliveries': { up: createTables },
  '2026-11-21-positions': { up: addPositions },
  '2026-11-22-lanes': { up: shrinkLanes },
  '2026-11-23-webhooks': { up: createWebhooks },
  '2026-11-28-accepted-rejects': { up: scrubRejectedRecords },
  '2026-11-28-pauses': { up: createSystems },
  '2026-11-28-positions': { up: forgetPositions },
  '2026-11-29-flows': { up: giveLedgerToFlows },
};

async function createTables(db: Kysely<unknown>): Promise<void> {
  const number = numberType(db);
  // AUTOINCREMENT, because a number that is used again would mix up the histories of two deliveries.
  const serial = sql.raw(
    isSqlite(db)
      ? 'integer primary key autoincrement'
      : 'bigint generated always as identity primary key',
  );
  await sql`create table deliveries (
    sequence ${serial},
    leg text not null,
    key text not null,
    customer_id text not null,
    payload text not null,
    status text not null check (status in ('pending', 'sending', 'unknown', 'delivered', 'dead', 'held')),
    attempts integer not null default 0,
    reads integer not null default 0,
    next_attempt_at ${number},
    fencing_token integer not null default 0,
    lease_expires_at ${number},
    last_error text,
    created_at ${number} not null,
    updated_at ${number} not null,
    unique (leg, key)
  )`.execute(db);
  await sql`create index deliveries_by_status on deliveries (status, sequence, leg)`.execute(db);
  await sql`create index deliveries_due on deliveries (leg, status, next_attempt_at)
    where next_attempt_at is not null`.execute(db);
  await sql`create index deliveries_lane on deliveries (customer_id, leg, sequence)`.execute(db);
  await sql`create table events (
    id ${serial},
    delivery ${number} not null references deliveries (sequence),
    at ${number} not null,
    what text not null,
    attempt integer,
    status_code integer,
    reason text,
    next_attempt_at ${number}
  )`.execute(db);
  await sql`create index events_of_delivery on events (delivery, id)`.execute(db);
  await sql`create table legs (
    leg text primary key,
    adopted_at ${number},
    turn_ends_at ${number} not null default 0,
    polled_at ${number}
  )`.execute(db);
  await sql`create table rejected_records (
    leg text not null,
    fingerprint text not null,
    record text not null,
    reason text not null,
    first_seen_at ${number} not null,
    primary key (leg, fingerprint)
  )`.execute(db);
  await sql`create table audits (
    id ${serial},
    leg text not null,
    finished_at ${number} not null,
    counts text not null
  )`.execute(db);
}

async function addPositions(db: Kysely<unknown>): Promise<void> {
  await sql`alter table legs add column position text`.execute(db);
  await sql`alter table legs add column swept_at ${numberType(db)}`.execute(db);
}

/** Most deliveries are alone in their lane: their key is the customer's id, so that they are found by key. */
async function shrinkLanes(db: Kysely<unknown>): Promise<void> {
  await sql`drop index deliveries_lane`.execute(db);
  await sql`create index deliveries_lane on deliveries (customer_id, leg, sequence)
    where customer_id != key`.execute(db);
}

async function createWebhooks(db: Kysely<unknown>): Promise<void> {
  await sql`create table webhooks (id text primary key, received_at ${numberType(db)} not null)`.execute(
    db,
  );
  await sql`create index webhooks_by_age on webhooks (received_at)`.execute(db);
}

/**
 * Rejected records were stored whole, with names and e-mail addresses. Only what identifies them, their ids
 * and the reasons stay. The table is created anew, because SQLite leaves old content in pages that it
 * reuses; with `secure_delete`, which every connection sets, it overwrites the pages of a dropped table.
 */
async function scrubRejectedRecords(db: Kysely<unknown>): Promise<void> {
  const number = numberType(db);
  await sql`alter table rejected_records rename to whole_records`.execute(db);
  await sql`create table rejected_records (
    leg text not null,
    fingerprint text not null,
    record text not null,
    reason text not null,
    first_seen_at ${number} not null,
    accepted_at ${number},
    constraint rejected_records_key primary key (leg, fingerprint)
  )`.execute(db);
  const { rows } = await sql<{ leg: string; fingerprint: string; record: string }>`
    select leg, fingerprint, record from whole_records`.execute(db);
  for (const { leg, fingerprint, record } of rows) {
    const scrubbed = scrub(record);
    await sql`insert into rejected_records (leg, fingerprint, record, reason, first_seen_at)
      select leg, ${scrubbed.fingerprint ?? fingerprint}, ${scrubbed.record}, reason, first_seen_at
      from whole_records where leg = ${leg} and fingerprint = ${fingerprint}
      on conflict do nothing`.execute(db);
  }
  await sql`drop table whole_records`.execute(db);
}

/** A record that was cut off cannot be parsed. It is reported once more if the source still shows it. */
function scrub(record: string): { fingerprint?: string; record: string } {
  try {
    const value = JSON.parse(record);
    const kept = JSON.stringify({ position: null, id: shownIdOf(value) });
    return { fingerprint: fingerprintOf(value), record: kept };
  } catch {
    return { record: JSON.stringify({ position: null, id: null }) };
  }
}

async function createSystems(db: Kysely<unknown>): Promise<void> {
  const number = numberType(db);
  await sql`create table systems (
    name text primary key,
    paused_at ${number} not null,
    paused_until ${number} not null
  )`.execute(db);
}

/**
 * Positions held the configured URL of the CRM's list, with any keys in it. The next poll reads all of it.
 */
async function forgetPositions(db: Kysely<unknown>): Promise<void> {
  await sql`update legs set position = null`.execute(db);
}

function numberType(db: Kysely<unknown>) {
  return isSqlite(db) ? sql`integer` : sql`bigint`;
}

/** The migrations that flows bring for tables of their own, by name; a name begins with a date. */
export type FlowMigrations = Record<string, Migration>;

export interface MigrateOptions {
  /** How messages name the ledger. */
  ledgerName: string;
  /** Of all flows, whether they are switched on or not. */
  ofFlows: FlowMigrations;
  /** Whether a service of an older version works with this ledger. */
  isOldServiceAtWork: () => Promise<boolean>;
  log: Logger;
}

/**
 * Brings the tables to the version of this code. Several processes may do it at once.
 *
 * @throws {LedgerError} when the database is no ledger, has a migration that this code does not know, or is
 *   used by an older version
 */
export async function migrate<Tables>(
  db: Kysely<Tables>,
  { ledgerName, ofFlows, isOldServiceAtWork, log }: MigrateOptions,
): Promise<void> {
  const migrations = { ...MIGRATIONS, ...ofFlows };
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    // Those of a flow may be older than the latest of the engine.
    allowUnorderedMigrations: true,
  });
  const isOld = isOfOldVersion(await executedMigrations(db));
  if (isOld) {
    if (await isOldServiceAtWork()) throw oldServiceAtWork(ledgerName);
    log.info(
      `${ledgerName} is of an older version: changing its tables. 300,000 deliveries take ten seconds.`,
    );
  }
  const { error } = await migrator.migrateToLatest();
  if (error instanceof Error && error.message.includes('previously executed migration')) {
    checkMigrations(ledgerName, await executedMigrations(db), Object.keys(ofFlows));
  }
  if (error) throw error;
  // What was scrubbed is in the write-ahead log until then: by a migration, or by a process that was killed.
  await emptyLog(db);
  if (isOld) log.info(`${ledgerName} is of this version now.`);
}

async function executedMigrations<Tables>(db: Kysely<Tables>): Promise<string[]> {
  const table = isSqlite(db)
    ? await sql`select 1 from sqlite_master where name = ${MIGRATION_TABLE}`.execute(db)
    : await sql`select 1 where to_regclass(${MIGRATION_TABLE}) is not null`.execute(db);
  if (table.rows.length === 0) return [];
  const { rows } = await sql<{ name: string }>`
    select name from ${sql.table(MIGRATION_TABLE)}`.execute(db);
  return rows.map(({ name }) => name);
}

function oldServiceAtWork(ledgerName: string): LedgerError {
  return new LedgerError(
    'unusable',
    `${ledgerName} is used by a service of an older version. Stop all services of that version, then start this one.`,
  );
}
