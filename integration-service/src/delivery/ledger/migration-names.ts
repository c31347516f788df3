import { LedgerError } from './ledger-error.ts';

/** Apart from the migrations themselves, because the thread of SQLite does not need a whole query builder. */
const MIGRATION_NAMES = [
  '2026-11-20-deliveries',
  '2026-11-21-positions',
  '2026-11-22-lanes',
  '2026-11-23-webhooks',
  '2026-11-28-accepted-rejects',
  '2026-11-28-pauses',
  '2026-11-28-positions',
] as const;

export type MigrationName = (typeof MIGRATION_NAMES)[number];

/** The table of a database that has the names of its executed migrations. */
export const MIGRATION_TABLE = 'kysely_migration';

/**
 * Finds out from the migrations of a database whether it is a ledger that this code can use.
 *
 * @param executed their names. If there are none, the database may become a ledger
 * @throws {LedgerError} when it belongs to another program, or has a migration that this code does not know
 */
export function checkMigrations(ledgerName: string, executed: readonly string[]): void {
  const unknown = executed.find((name) => !MIGRATION_NAMES.some((known) => known === name));
  if (unknown === undefined) return;
  if (!executed.includes(MIGRATION_NAMES[0])) throw noLedger(ledgerName);
  throw new LedgerError(
    'unusable',
    `${ledgerName} was written by a newer version of this service (its migration ${unknown} is not known here). Run that version, or restore a backup of the ledger from before.`,
  );
}

/** The error for a database that belongs to another program; the database is left alone. */
export function noLedger(ledgerName: string): LedgerError {
  return new LedgerError(
    'unusable',
    `${ledgerName} is not one of this service: the database belongs to another program, and stays as it is. Name another one in LEDGER_URL.`,
  );
}
