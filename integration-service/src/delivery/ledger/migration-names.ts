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
  '2026-11-29-flows',
] as const;

export type MigrationName = (typeof MIGRATION_NAMES)[number];

/** The table of a database that has the names of its executed migrations. */
export const MIGRATION_TABLE = 'kysely_migration';

/**
 * Finds out from the migrations of a database whether it is a ledger that this code can use.
 *
 * @param executed their names. If there are none, the database may become a ledger
 * @param ofFlows the names of the migrations that flows bring
 * @throws {LedgerError} when it belongs to another program, or has a migration that this code does not know
 */
export function checkMigrations(
  ledgerName: string,
  executed: readonly string[],
  ofFlows: readonly string[],
): void {
  const known: readonly string[] = [...MIGRATION_NAMES, ...ofFlows];
  const unknown = executed.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  if (!executed.includes(MIGRATION_NAMES[0])) throw noLedger(ledgerName);
  throw new LedgerError(
    'unusable',
    `${ledgerName} was written by a newer version of this service (its migration ${unknown} is not known here). Run that version, or restore a backup of the ledger from before.`,
  );
}

/** Whether a ledger was written by a version that knows nothing of the tables of now. */
export function isOfOldVersion(executed: readonly string[]): boolean {
  return executed.length > 0 && !executed.includes('2026-11-29-flows');
}

/** The error for a database that belongs to another program; the database is left alone. */
export function noLedger(ledgerName: string): LedgerError {
  return new LedgerError(
    'unusable',
    `${ledgerName} is not one of this service: the database belongs to another program, and stays as it is. Name another one in LEDGER_URL.`,
  );
}
