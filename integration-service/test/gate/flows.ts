import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { sql } from 'kysely';
import type { Claim, Item } from '../../src/delivery/delivery.ts';
import { createPause } from '../../src/delivery/dispatch/pauses.ts';
import type { Change, Flow, PolledSource, PushedSource } from '../../src/delivery/flow.ts';
import { ONE_BY_ONE } from '../../src/delivery/flow.ts';
import type { Ledger, LedgerTransaction, Together } from '../../src/delivery/ledger/ledger.ts';
import type { FlowMigrations } from '../../src/delivery/ledger/migrations.ts';
import type { Outcome } from '../../src/delivery/outcome.ts';
import type { Holding } from '../../src/delivery/target.ts';
import type { Breakage } from './systems.ts';

/** The tables of the flows: a shop whose customers are kept in step, and the lengths of files. */
export const GATE_MIGRATIONS: FlowMigrations = {
  '2026-12-01-gate': {
    async up(db) {
      await sql`create table shop (id text primary key, version integer not null, email text)`.execute(
        db,
      );
      await sql`create table files (name text primary key, length integer not null)`.execute(db);
      await sql`insert into files values ('rows', 0)`.execute(db);
    },
  },
};

export interface GateOptions {
  url: string;
  /** The file that the third flow appends to. */
  path: string;
  ledger: Ledger;
  breakage?: Breakage | undefined;
  /** Dies at some of its calls, at more of them where there is little that can go wrong. */
  mayDie: (times?: number) => void;
  /** Called with what changes a customer of the shop and its delivery together. */
  onShop: (change: Change) => void;
  now: () => number;
  monotonicNow: () => number;
  log: Parameters<typeof createPause>[0]['log'];
}

interface Record {
  id: string;
  version: number;
  email: string;
}

/** Three flows of the three shapes: append once, latest state, batches into a file. */
export function createGateFlows(options: GateOptions): Flow[] {
  return [appendOnce(options), latestState(options), intoFile(options)];
}

function sourceOf(options: GateOptions, toItem: (record: Record) => Item): PolledSource {
  return {
    ...{ kind: 'polled', name: 'crm', system: 'CRM', noun: 'customer' },
    ...{ intervalMs: 100, sweepIntervalMs: 1 },
    pause: createPause({ system: 'crm', ...options }),
    async read(_from, signal) {
      const records = await listOf<Record>(`${options.url}/crm`, signal);
      return {
        ...{ kind: 'items', position: undefined, isWhole: true, invalid: [], invalidCount: 0 },
        items: records.map(toItem),
      };
    },
  };
}

async function listOf<Of>(url: string, signal?: AbortSignal): Promise<Of[]> {
  return (await (await fetch(url, { ...(signal && { signal }) })).json()) as Of[];
}

/** One attempt over HTTP. */
async function call(url: string, request: RequestInit, onSend: () => void): Promise<Outcome> {
  try {
    onSend();
    const { status: statusCode } = await fetch(url, request);
    if (statusCode < 300) return { kind: 'delivered', targetId: 'there', statusCode };
    if (statusCode === 412) return { kind: 'stale', reason: 'it has a later one', statusCode };
    return { kind: 'transient', reason: String(statusCode), statusCode };
  } catch (error) {
    return { kind: 'unknown', reason: (error as Error).message };
  }
}

const nothingExpected = {
  kinds: {},
  source: 'crm',
  intervalMs: 100,
  async *expected() {},
};

/** A package for each customer, once, at a target that knows no keys. */
function appendOnce(options: GateOptions): Flow {
  const { url, breakage } = options;
  async function* list(): AsyncIterable<Holding> {
    for (const { customer_id } of await listOf<{ customer_id: string }>(`${url}/inventory`)) {
      yield { identity: customer_id, targetId: 'there', content: undefined };
    }
  }
  return {
    name: 'append-once',
    target: {
      name: 'inventory',
      isRepeatable: breakage === 'the inventory is called repeatable',
      lookUpAfterMs: [50, 200],
      send: async ([claim], { onSend, signal }) => ({
        outcomes: claim
          ? [
              await call(
                `${url}/inventory`,
                { method: 'POST', body: claim.payload, signal },
                onSend,
              ),
            ]
          : [],
      }),
      list,
    },
    sources: [
      sourceOf(options, ({ id }) => {
        return {
          key: id,
          lane: id,
          payload: JSON.stringify({ customer_id: id }),
          label: `name of ${id}`,
        };
      }),
    ],
    policy: {
      ...{ order: 'lane', supersedes: false, hasOwnKeys: false, keepsLabels: true },
      ...{ batch: ONE_BY_ONE, concurrency: 4, maxAttempts: 1_000, longestBackoffMs: 200 },
    },
    laneOf: (id) => id,
    audit: nothingExpected,
  };
}

/** The latest version of each customer, at a target that guards versions. */
function latestState({ url, onShop }: GateOptions): Flow {
  const shop: PushedSource = {
    ...{ kind: 'pushed', name: 'shop', noun: 'customer' },
    open(_sink, _metrics, change) {
      onShop(change);
      return { problem: () => undefined, async close() {} };
    },
  };
  function send({ lane, payload, operation }: Claim, onSend: () => void, signal: AbortSignal) {
    const { version } = JSON.parse(payload);
    const path = `${url}/crm/${lane}`;
    return operation === 'delete'
      ? call(`${path}?version=${version}`, { method: 'DELETE', signal }, onSend)
      : call(path, { method: 'PUT', body: payload, signal }, onSend);
  }
  return {
    name: 'latest-state',
    target: {
      ...{ name: 'CRM', isRepeatable: true, lookUpAfterMs: [] },
      send: async ([claim], { onSend, signal }) => ({
        outcomes: claim ? [await send(claim, onSend, signal)] : [],
      }),
    },
    sources: [shop],
    policy: {
      ...{ order: 'lane', supersedes: true, hasOwnKeys: true, keepsLabels: true },
      ...{ batch: ONE_BY_ONE, concurrency: 4, maxAttempts: 1_000, longestBackoffMs: 200 },
    },
    laneOf: (id) => id,
    audit: nothingExpected,
  };
}

/** A row for each version of a customer, in a file whose length is committed with the rows. */
function intoFile(options: GateOptions): Flow {
  const { path, ledger, breakage, mayDie } = options;

  async function append(rows: readonly Claim[]): Promise<{ from: number; to: number }> {
    const from = await ledger.within(lengthOf);
    const file = openSync(path, 'a+');
    try {
      if (breakage !== 'the file is not cut to its committed length') ftruncateSync(file, from);
      const text = rows.map(({ payload }) => `${payload}\n`).join('');
      const half = text.length >> 1;
      writeSync(file, text.slice(0, half));
      mayDie(breakage === 'the file is not cut to its committed length' ? 40 : 15);
      writeSync(file, text.slice(half));
      mayDie(5);
      return { from, to: from + Buffer.byteLength(text) };
    } finally {
      closeSync(file);
    }
  }

  return {
    name: 'into-file',
    target: {
      ...{ name: 'file', isRepeatable: false, lookUpAfterMs: [0] },
      async send(batch, { onSend }) {
        onSend();
        const { from, to } = await append(batch);
        const together: Together = async (transaction) => {
          const { rows } = await sql`update files set length = ${to}
            where name = 'rows' and length = ${from} returning length`.execute(transaction);
          if (rows.length === 0) throw new Error('another writer has moved the length');
        };
        const outcomes = batch.map(() => ({ kind: 'delivered', targetId: `${from}` }) as const);
        if (breakage !== 'the length is committed apart from the rows')
          return { outcomes, together };
        setImmediate(async () => {
          await ledger.within(together);
          mayDie(40);
        });
        return { outcomes };
      },
      lookUp: async () => new Map(),
    },
    sources: [
      sourceOf(options, ({ id, version }) => {
        const key = `${id}#${version}`;
        return { key, lane: id, payload: JSON.stringify({ key }) };
      }),
    ],
    policy: {
      ...{ order: 'none', supersedes: false, hasOwnKeys: false, keepsLabels: true },
      batch: { size: 5, waitMs: 300, atMost: 50 },
      ...{ concurrency: 1, maxAttempts: 1_000, longestBackoffMs: 200 },
    },
    laneOf: (id) => id,
    audit: nothingExpected,
  };
}

/**
 * Waits for the transaction of a writer that was killed: on PostgreSQL, its commit may still be on the way, and
 * the file must not be cut to a length from before.
 */
async function lengthOf(transaction: LedgerTransaction): Promise<number> {
  const isSqlite = !transaction.getExecutor().adapter.supportsMultipleConnections;
  const { rows } = await sql<{ length: number }>`
    select length from files where name = 'rows' ${sql.raw(isSqlite ? '' : 'for update')}`.execute(
    transaction,
  );
  return Number(rows[0]?.length);
}

/** The rows of the file that are committed, and the text of any that is torn. */
export async function readRows(path: string, ledger: Ledger): Promise<string[]> {
  const length = await ledger.within(lengthOf);
  const bytes = readFileSync(path, { flag: 'a+' });
  return bytes.subarray(0, length).toString().split('\n').slice(0, -1);
}
