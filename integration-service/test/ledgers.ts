import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import type { Item } from '../src/delivery/delivery.ts';
import { createIngest } from '../src/delivery/ingest/ingest.ts';
import { createSurgeGuard } from '../src/delivery/ingest/surge-guard.ts';
import type {
  IngestCounts,
  Ledger,
  LedgerLocation,
  NewProgress,
} from '../src/delivery/ledger/ledger.ts';
import { type LedgerOptions, openLedger } from '../src/delivery/ledger/open-ledger.ts';
import { captureLog, POLICY } from './support.ts';

/** A database in which tests may create their own databases, as `postgres://user:password@host/db`. */
const POSTGRES_URL = process.env.TEST_POSTGRES_URL;

/** The kinds of ledger that can be tested in this environment. */
export const LEDGER_KINDS: LedgerLocation['kind'][] = POSTGRES_URL
  ? ['sqlite', 'postgres']
  : ['sqlite'];

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A place for a new ledger; it is removed after the test. */
export async function newLocation(kind: LedgerLocation['kind']): Promise<LedgerLocation> {
  if (kind === 'sqlite') return { kind, path: join(temporaryFolder(), 'ledger.sqlite') };
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await queryPostgres(`create database ${name}`);
  onTestFinished(() => queryPostgres(`drop database ${name} with (force)`));
  const url = new URL(POSTGRES_URL as string);
  url.pathname = `/${name}`;
  return { kind, url: url.href };
}

/** Runs statements in a database; by default in the one in which other databases are created. */
export async function queryPostgres(sql: string, url = POSTGRES_URL): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

/**
 * Opens a ledger that is closed when the test ends.
 *
 * @param options default: without a thread. SQLite then blocks the whole process, including other ledgers
 * of the test, while it waits for a lock
 */
export async function open(
  location: LedgerLocation,
  options: LedgerOptions = { hasThread: false },
): Promise<Ledger> {
  const ledger = await openLedger(location, captureLog().log, options);
  onTestFinished(() => ledger.close().catch(() => {}));
  return ledger;
}

/** The name of the source whose position `ingestList` writes. */
export const SOURCE = 'crm';

/** Ingests a list as a poll does; tells what became of the items, but for those that are superseded. */
export async function ingestList(
  ledger: Ledger,
  name: string,
  items: Iterable<Item>,
  options: {
    now: number;
    surgeLimit?: number;
    progress?: NewProgress;
    signal?: AbortSignal;
    onFresh?: () => void;
  },
): Promise<Omit<IngestCounts, 'superseded'>> {
  const { now, surgeLimit: limit, progress, ...rest } = options;
  const { list } = createIngest({
    flow: { name, policy: POLICY },
    ledger,
    log: captureLog().log,
    onIngested() {},
    onEvent() {},
    now: () => now,
  });
  const { superseded: _, ...counts } = await list(items, {
    ...rest,
    noun: 'customer',
    guard: createSurgeGuard({ flow: name, ledger, limit, windowMs: 0, monotonicNow: () => 0 }),
    together: (transaction) =>
      progress
        ? ledger.writeProgress(transaction, { flow: name, source: SOURCE }, progress, now)
        : Promise.resolve(),
  });
  return counts;
}
