import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Kysely } from 'kysely';
import type { Logger } from 'service-kit/logger';
import { createCorrections } from './corrections.ts';
import { LedgerError } from './ledger-error.ts';
import { createLegs } from './legs.ts';
import { migrate } from './migrations.ts';
import { explainPostgres, openPostgres } from './postgres.ts';
import { createReading } from './reading.ts';
import { createRejectedRecords } from './rejected-records.ts';
import { createSightings } from './sightings.ts';
import { openSqlite } from './sqlite.ts';
import { IN_MEMORY } from './sqlite-file.ts';
import { createSystems } from './systems.ts';
import type { Tables } from './tables.ts';
import { createWork } from './work.ts';

/** Where the ledger is: a SQLite file (or `:memory:`), or a PostgreSQL database. */
export type LedgerLocation = { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string };

type Parts = ReturnType<typeof createLegs> &
  ReturnType<typeof createSightings> &
  ReturnType<typeof createRejectedRecords> &
  ReturnType<typeof createSystems> &
  ReturnType<typeof createWork> &
  ReturnType<typeof createReading> &
  ReturnType<typeof createCorrections>;

/**
 * The durable table of deliveries. Its delivered rows are the "processed-ID set". Every method throws a
 * `LedgerError` when the ledger cannot be read or written; no transaction is half written then.
 */
export interface Ledger extends Parts {
  /** No other service worked on this ledger when it was opened. Always false for PostgreSQL. */
  readonly isAlone: boolean;
  /** What is wrong with the ledger, according to its latest use; `undefined` when nothing is. */
  problem(): LedgerError | undefined;
  close(): Promise<void>;
}

export interface LedgerOptions {
  /** The ledger is for a service, of which other services must know. Default: yes. */
  isService?: boolean;
  /**
   * SQLite runs in a thread of its own, which takes 40 ms to start. Default: for a service, unless it is in
   * memory.
   */
  hasThread?: boolean;
}

/**
 * Opens the ledger and brings its tables up to date.
 *
 * @throws {LedgerError} when the ledger cannot be used; it stays as it is then
 */
export async function openLedger(
  location: LedgerLocation,
  log: Logger,
  options: LedgerOptions = {},
): Promise<Ledger> {
  const { dialect, isAlone, explain } = await open(location, log, options);
  const db = new Kysely<Tables>({ dialect });
  const health = createHealth(log);
  try {
    await migrate(db, nameOf(location));
  } catch (error) {
    await db.destroy();
    throw explain(error);
  }

  const parts: Parts = {
    ...createLegs(db),
    ...createSightings(db),
    ...createRejectedRecords(db),
    ...createSystems(db),
    ...createWork(db, { skipLocked: location.kind === 'postgres' }),
    ...createReading(db),
    ...createCorrections(db),
  };
  const watched = Object.fromEntries(
    Object.entries(parts).map(([name, method]) => [
      name,
      async (...values: unknown[]) => {
        try {
          const result = await (method as (...values: unknown[]) => Promise<unknown>)(...values);
          health.worked(name);
          return result;
        } catch (error) {
          const explained = explain(error);
          if (explained instanceof LedgerError) health.failed(name, explained);
          throw explained;
        }
      },
    ]),
  ) as unknown as Parts;
  return { ...watched, isAlone, problem: health.problem, close: () => db.destroy() };
}

/**
 * A failed call that is still needed is repeated within a second; other failures are forgotten after this.
 */
const FORGET_AFTER_MS = 10_000;

/** Remembers failures by method, because reading still works on a full disk. Logs each new failure. */
function createHealth(log: Logger) {
  const failures = new Map<string, { error: LedgerError; at: number }>();
  const current = () =>
    [...failures.values()].filter(({ at }) => performance.now() - at < FORGET_AFTER_MS);
  return {
    problem: () => current()[0]?.error,
    failed(use: string, error: LedgerError): void {
      if (!current().some((known) => known.error.message === error.message)) {
        log.error(error.message);
      }
      failures.set(use, { error, at: performance.now() });
    },
    worked(use: string): void {
      if (failures.delete(use) && current().length === 0) log.info('The ledger works again.');
    },
  };
}

/**
 * Opens an existing ledger, for the commands.
 *
 * @throws {LedgerError} also when there is none
 */
export async function openExistingLedger(location: LedgerLocation, log: Logger): Promise<Ledger> {
  if (location.kind === 'sqlite' && location.path === ':memory:') {
    throw new LedgerError(
      'unusable',
      'The ledger is in the memory of the service (LEDGER_URL is sqlite::memory:): use its routes under /deliveries.',
    );
  }
  if (location.kind === 'sqlite' && !(existsSync(location.path) && statSync(location.path).size)) {
    throw new LedgerError(
      'unusable',
      `There is no ledger at ${resolve(location.path)}. Start the service first, or see LEDGER_URL.`,
    );
  }
  return openLedger(location, log, { isService: false });
}

async function open(
  location: LedgerLocation,
  log: Logger,
  { isService = true, hasThread }: LedgerOptions,
) {
  if (location.kind === 'postgres') {
    const dialect = openPostgres(location.url, log);
    return { dialect, isAlone: false, explain: explainPostgres };
  }
  const { path } = location;
  const options = { path, isService, hasThread: hasThread ?? (isService && path !== IN_MEMORY) };
  const opened = await openSqlite(options);
  return { ...opened, explain: (error: unknown) => error };
}

function nameOf(location: LedgerLocation): string {
  return location.kind === 'sqlite' ? `The ledger ${location.path}` : 'The ledger';
}
