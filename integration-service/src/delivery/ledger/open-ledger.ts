import { AsyncLocalStorage } from 'node:async_hooks';
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Dialect, Kysely } from 'kysely';
import type { Logger } from 'service-kit/logger';
import { CLOCKS, type Clocks } from '../clocks.ts';
import { createClaims } from './claims.ts';
import { createCorrections } from './corrections.ts';
import { createEraser, rewriteFile } from './eraser.ts';
import { createIngesting } from './ingesting.ts';
import type { Ledger, LedgerLocation } from './ledger.ts';
import { LedgerError } from './ledger-error.ts';
import { type FlowMigrations, MIGRATIONS, migrate } from './migrations.ts';
import { explainPostgres, isOldServiceConnected, openPostgres } from './postgres/postgres.ts';
import { createReading } from './reading.ts';
import { createRejectedRecords } from './rejected-records.ts';
import { isSqlite } from './rows.ts';
import { createSources } from './sources.ts';
import { openSqlite } from './sqlite/sqlite.ts';
import { IN_MEMORY } from './sqlite/sqlite-file.ts';

export interface LedgerOptions {
  /** The ledger is for a service, of which other services must know. Default: yes. */
  isService?: boolean;
  /**
   * SQLite runs in a thread of its own, which takes 40 ms to start. Default: for a service, unless it is in
   * memory.
   */
  hasThread?: boolean;
  /** The migrations of all flows, whether they are switched on or not. Default: none. */
  flowMigrations?: FlowMigrations;
  /** Milliseconds of a clock that never jumps. Default: that of the process. */
  monotonicNow?: Clocks['monotonicNow'];
}

type Parts = Omit<Ledger, 'isAlone' | 'hasOneWriter' | 'problem' | 'close'>;

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
  const { isService = true, monotonicNow = CLOCKS.monotonicNow } = options;
  const migrations = { ...MIGRATIONS, ...options.flowMigrations };
  const opened = await open(location, log, Object.keys(migrations), options);
  const { dialect, isAlone, isOldServiceAtWork, explain } = opened;
  const db = new Kysely<unknown>({ dialect });
  const { dialectOfMigration } = opened;
  const migrating = dialectOfMigration ? new Kysely<unknown>({ dialect: dialectOfMigration }) : db;
  const ledgerName = location.kind === 'sqlite' ? `The ledger ${location.path}` : 'The ledger';
  try {
    await migrate(migrating, {
      ...{ ledgerName, migrations, log },
      isOldServiceAtWork: () => isOldServiceAtWork(db),
    });
    // A process that was killed could not. If this one cannot either, the next one tries.
    if (isService) {
      await rewriteFile(migrating).catch((error: Error) =>
        log.warn(`${ledgerName} still has copies of what was scrubbed: ${error.message}`),
      );
    }
    if (migrating !== db) await migrating.destroy();
  } catch (error) {
    for (const each of new Set([migrating, db])) await each.destroy();
    throw explain(error);
  }
  const eraser = createEraser(db, monotonicNow);
  const parts: Parts = {
    read: (run) => run(db),
    within: (run) => db.transaction().execute(run),
    ...createIngesting(db),
    ...createSources(db),
    ...createRejectedRecords(db),
    ...createClaims(db, eraser),
    ...createReading(db),
    ...createCorrections(db, eraser),
  };
  const health = createHealth(log, monotonicNow);
  let isClosed = false;
  const check = () => {
    if (isClosed) throw new LedgerError('unreachable', 'The ledger is closed.');
  };
  return {
    ...watch(parts, { health, explain, check }),
    isAlone,
    hasOneWriter: isSqlite(db),
    problem: health.problem,
    async close() {
      if (isClosed) return;
      isClosed = true;
      if (isService) await eraser.rewrite();
      await db.destroy();
    },
  };
}

/**
 * Opens an existing ledger, for the commands.
 *
 * @throws {LedgerError} also when there is none
 */
export async function openExistingLedger(
  location: LedgerLocation,
  log: Logger,
  options: Pick<LedgerOptions, 'flowMigrations'> = {},
): Promise<Ledger> {
  if (location.kind === 'sqlite' && location.path === IN_MEMORY) {
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
  return openLedger(location, log, { ...options, isService: false });
}

interface Opened {
  dialect: Dialect;
  /** For statements that may take long. Default: the same. */
  dialectOfMigration?: Dialect;
  isAlone: boolean;
  isOldServiceAtWork: (db: Kysely<unknown>) => Promise<boolean>;
  explain: (error: unknown) => unknown;
}

async function open(
  location: LedgerLocation,
  log: Logger,
  migrations: string[],
  { isService = true, hasThread }: LedgerOptions,
): Promise<Opened> {
  if (location.kind === 'postgres') {
    return {
      dialect: openPostgres(location.url, log),
      dialectOfMigration: openPostgres(location.url, log, false),
      isAlone: false,
      isOldServiceAtWork: isOldServiceConnected,
      explain: explainPostgres,
    };
  }
  const { path } = location;
  const { dialect, isAlone } = await openSqlite({
    path,
    isService,
    hasThread: hasThread ?? (isService && path !== IN_MEMORY),
    migrations,
  });
  // A command takes no lock: it asks whether a service has one.
  const isOldServiceAtWork = async () => !isAlone;
  return { dialect, isAlone: isService && isAlone, isOldServiceAtWork, explain: (error) => error };
}

/** How long a failure counts: a failed call that is still needed is repeated within a second. */
const FORGET_AFTER_MS = 10_000;

type Health = ReturnType<typeof createHealth>;

/** Remembers failures by method, because reading still works on a full disk. Logs each new failure. */
function createHealth(log: Logger, monotonicNow: Clocks['monotonicNow']) {
  const failures = new Map<string, { error: LedgerError; at: number }>();
  const current = () =>
    [...failures.values()].filter(({ at }) => monotonicNow() - at < FORGET_AFTER_MS);
  return {
    problem: () => current()[0]?.error,
    failed(use: string, error: LedgerError): void {
      if (!current().some((known) => known.error.message === error.message)) {
        log.error(error.message);
      }
      failures.set(use, { error, at: monotonicNow() });
    },
    worked(use: string): void {
      if (failures.delete(use) && current().length === 0) log.info('The ledger works again.');
    },
  };
}

/** The methods that are called inside a transaction, which they are given. */
const INSIDE: string[] = ['writeProgress'] satisfies (keyof Parts)[];

interface Watch {
  health: Health;
  explain: Opened['explain'];
  /** Throws when no method may be called any more. */
  check: () => void;
}

/** The same methods, whose errors are explained and remembered. */
function watch(parts: Parts, { health, explain, check }: Watch): Parts {
  const inside = new AsyncLocalStorage<true>();
  const watched = Object.entries(parts).map(([name, method]) => [
    name,
    async (...values: unknown[]) => {
      check();
      if (inside.getStore() && !INSIDE.includes(name)) {
        throw new Error(
          `ledger.${name} inside a transaction of the ledger would wait for its end.`,
        );
      }
      const marked = values.map((value) =>
        typeof value === 'function'
          ? (each: unknown) => inside.run(true, () => value(each))
          : value,
      );
      try {
        const result = await (method as (...values: unknown[]) => Promise<unknown>)(...marked);
        health.worked(name);
        return result;
      } catch (error) {
        // Whatever a driver says that was closed meanwhile.
        check();
        const explained = explain(error);
        if (explained instanceof LedgerError) health.failed(name, explained);
        throw explained;
      }
    },
  ]);
  return Object.fromEntries(watched);
}
