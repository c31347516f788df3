import { LedgerError } from './ledger-error.ts';

/**
 * The migrations of the versions before there were several flows, which do nothing any more. Their names tell a
 * ledger from the database of another program.
 */
export const FORMER_MIGRATIONS = [
  '2026-11-20-deliveries',
  '2026-11-21-positions',
  '2026-11-22-lanes',
  '2026-11-23-webhooks',
  '2026-11-28-accepted-rejects',
  '2026-11-28-pauses',
  '2026-11-28-positions',
] as const;

/** The table of a database that has the names of its executed migrations. */
export const MIGRATION_TABLE = 'kysely_migration';

/**
 * Finds out from the migrations of a database whether it is a ledger that this code can use.
 *
 * @param executed their names. If there are none, the database may become a ledger
 * @param known the names of the migrations of this code, with those of all flows
 * @throws {LedgerError} when it belongs to another program, has a migration that this code does not know, or
 *   lacks one that this code does not have any more
 */
export function checkMigrations(
  ledgerName: string,
  executed: readonly string[],
  known: readonly string[],
): void {
  if (executed.length === 0) return;
  const unknown = executed.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    if (!executed.includes(FORMER_MIGRATIONS[0])) throw noLedger(ledgerName);
    throw new LedgerError(
      'unusable',
      `${ledgerName} was written by a newer version of this service (its migration ${unknown} is not known here). Run that version, or restore a backup of the ledger from before.`,
    );
  }
  const missing = FORMER_MIGRATIONS.find((name) => !executed.includes(name));
  if (missing === undefined) return;
  throw new LedgerError(
    'unusable',
    `${ledgerName} is of a version before 1.0.0 that this one cannot change (it lacks the migration ${missing}): start it once with commit 440ddc1, then with this version.`,
  );
}

/** The error for a database that belongs to another program; the database is left alone. */
export function noLedger(ledgerName: string): LedgerError {
  return new LedgerError(
    'unusable',
    `${ledgerName} is not one of this service: the database belongs to another program, and stays as it is. Name another one in LEDGER_URL.`,
  );
}
