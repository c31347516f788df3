import { existsSync, statSync } from 'node:fs';
import { type Dialect, Kysely } from 'kysely';
import type { Logger } from 'service-kit/logger';
import { createCorrections } from './corrections.ts';
import { LedgerError } from './ledger-error.ts';
import { migrate } from './migrations.ts';
import { explainPostgres, openPostgres } from './postgres.ts';
import { createReading } from './reading.ts';
import { createSightings } from './sightings.ts';
import { openSqlite } from './sqlite.ts';
import type { Tables } from './tables.ts';
import { createWork } from './work.ts';

/** Where the ledger is: a SQLite file (or `:memory:`), or a PostgreSQL database. */
export type LedgerLocation = { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string };

type Parts = ReturnType<typeof createSightings> &
  ReturnType<typeof createWork> &
  ReturnType<typeof createReading> &
  ReturnType<typeof createCorrections>;

/**
 * The durable table of deliveries. Its delivered rows are the "processed-ID set". Every method throws
 * a `LedgerError` when the ledger cannot be read or written; nothing is half written then.
 */
export interface Ledger extends Parts {
  /** No other service worked on this ledger when it was opened. Always false for PostgreSQL. */
  readonly isAlone: boolean;
  /** What is wrong with the ledger, as its last use showed; `undefined` when it worked. */
  problem(): LedgerError | undefined;
  close(): Promise<void>;
}

/**
 * Opens the ledger and brings its tables up to date.
 *
 * @throws {LedgerError} when it cannot be used; it is left as it is then
 */
export async function openLedger(location: LedgerLocation, log: Logger): Promise<Ledger> {
  const { dialect, isAlone, release, explain } = open(location, log);
  const db = new Kysely<Tables>({ dialect });
  let problem: LedgerError | undefined;

  async function watch<Result>(run: () => Promise<Result>): Promise<Result> {
    try {
      const result = await run();
      problem = undefined;
      return result;
    } catch (error) {
      const explained = explain(error);
      if (explained instanceof LedgerError) problem = explained;
      throw explained;
    }
  }

  const close = async () => {
    await db.destroy();
    release();
  };
  try {
    await watch(() => migrate(db, nameOf(location)));
  } catch (error) {
    await close();
    throw error;
  }

  const parts: Parts = {
    ...createSightings(db),
    ...createWork(db, { skipLocked: location.kind === 'postgres' }),
    ...createReading(db),
    ...createCorrections(db),
  };
  const watched = Object.fromEntries(
    Object.entries(parts).map(([name, method]) => [
      name,
      (...values: unknown[]) =>
        watch(() => (method as (...values: unknown[]) => Promise<unknown>)(...values)),
    ]),
  ) as unknown as Parts;
  return { ...watched, isAlone, problem: () => problem, close };
}

/**
 * Opens a ledger that must be there already, for the commands.
 *
 * @throws {LedgerError} also when there is none
 */
export async function openExistingLedger(location: LedgerLocation, log: Logger): Promise<Ledger> {
  if (location.kind === 'sqlite' && !(existsSync(location.path) && statSync(location.path).size)) {
    throw new LedgerError(
      'unusable',
      `There is no ledger at ${location.path}. Start the service first, or see LEDGER_URL.`,
    );
  }
  return openLedger(location, log);
}

function open(location: LedgerLocation, log: Logger) {
  if (location.kind === 'postgres') {
    const dialect: Dialect = openPostgres(location.url, log);
    return { dialect, isAlone: false, release() {}, explain: explainPostgres };
  }
  const { dialect, isAlone, close } = openSqlite(location.path);
  return { dialect, isAlone, release: close, explain: (error: unknown) => error };
}

function nameOf(location: LedgerLocation): string {
  return location.kind === 'sqlite' ? `The ledger ${location.path}` : 'The ledger';
}
