import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import type { Logger } from 'service-kit/logger';
import { createTables, hasTable } from './create-tables.ts';
import { emptyLog } from './eraser.ts';
import { LedgerError } from './ledger-error.ts';
import { checkMigrations, FORMER_MIGRATIONS, MIGRATION_TABLE } from './migration-names.ts';

const CREATION = '2026-11-29-flows';

/** In the order of their names. A migration that has been released is never changed. */
export const MIGRATIONS: Record<string, Migration> = {
  ...Object.fromEntries(FORMER_MIGRATIONS.map((name) => [name, { async up() {} }])),
  [CREATION]: { up: createTables },
};

/** The migrations that flows bring for tables of their own, by name; a name begins with a date. */
export type FlowMigrations = Record<string, Migration>;

export interface MigrateOptions {
  /** How messages name the ledger. */
  ledgerName: string;
  /** Those of this code, and of all flows, whether they are switched on or not. */
  migrations: Record<string, Migration>;
  /** Whether a service of an older version works with this ledger. */
  isOldServiceAtWork: () => Promise<boolean>;
  log: Logger;
}

/**
 * Brings the tables to the version of this code. Several processes may do it at once.
 *
 * @throws {LedgerError} when the database is no ledger, is of a version that this code cannot change or does
 *   not know, or is used by an older version
 */
export async function migrate(
  db: Kysely<unknown>,
  { ledgerName, migrations, isOldServiceAtWork, log }: MigrateOptions,
): Promise<void> {
  const executed = await executedMigrations(db);
  checkMigrations(ledgerName, executed, Object.keys(migrations));
  const isOld = executed.length > 0 && !executed.includes(CREATION);
  if (isOld && (await isOldServiceAtWork())) {
    throw new LedgerError(
      'unusable',
      `${ledgerName} is used by a service of an older version. Stop all services of that version, then start this one.`,
    );
  }
  if (isOld) {
    log.info(
      `${ledgerName} is of an older version: changing its tables. 300,000 deliveries take ten seconds.`,
    );
  }
  const { error } = await new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    // Those of a flow may be older than the latest of the engine.
    allowUnorderedMigrations: true,
  }).migrateToLatest();
  if (error) throw error;
  // What was scrubbed is in the write-ahead log until then: by a migration, or by a process that was killed.
  await emptyLog(db);
  if (isOld) log.info(`${ledgerName} is of this version now.`);
}

async function executedMigrations(db: Kysely<unknown>): Promise<string[]> {
  if (!(await hasTable(db, MIGRATION_TABLE))) return [];
  const { rows } = await sql<{ name: string }>`
    select name from ${sql.table(MIGRATION_TABLE)}`.execute(db);
  return rows.map(({ name }) => name);
}
