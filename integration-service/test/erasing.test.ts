import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import type { IngestRules, Ledger } from '../src/delivery/ledger/ledger.ts';
import { open, temporaryFolder } from './ledgers.ts';

const FLOW: IngestRules = {
  ...{ name: 'latest', supersedes: true, hasOwnKeys: true, keepsLabels: true },
};
const LANES = Array.from({ length: 50 }, (_, i) => `lane-${i}`);
const nameOf = (lane: string) => `canary of ${lane};`;

async function deliverAll(ledger: Ledger): Promise<void> {
  const claims = await ledger.claim(FLOW.name, { limit: 100, now: 1, order: 'lane' });
  const delivered = {
    status: 'delivered',
    reads: 0,
    nextAttemptAt: null,
    lastError: null,
  } as const;
  await ledger.commit(
    claims.map((claim) => ({ claim, transition: { ...delivered, attempts: 1 } })),
    1,
  );
}

/** A ledger that has forgotten half of its lanes, and whose file has not. */
async function setUp() {
  const folder = temporaryFolder();
  const ledger = await open({ kind: 'sqlite', path: join(folder, 'ledger.sqlite') });
  // SQLite leaves some bytes all the same, when it moves rows between pages, and then not each time.
  await ledger.read((db) => sql`pragma secure_delete = off`.execute(db));
  const versions = LANES.map((lane) => ({
    ...{ key: `${lane}@1`, lane, operation: 'create' as const, label: nameOf(lane) },
    payload: JSON.stringify({ name: nameOf(lane) }),
  }));
  await ledger.ingest(FLOW, async () => versions, { now: 0 });
  await deliverAll(ledger);
  const gone = LANES.slice(25);
  const deletions = gone.map((lane) => ({
    ...{ key: `${lane}@2`, lane, operation: 'delete' as const, endsLane: true, payload: '{}' },
  }));
  await ledger.ingest(FLOW, async () => deletions, { now: 0 });
  await deliverAll(ledger);
  const found = (where = folder) => {
    const bytes = readdirSync(where).map((file) => readFileSync(join(where, file), 'latin1'));
    return LANES.filter((lane) => bytes.some((each) => each.includes(nameOf(lane))));
  };
  expect(found().length).toBeGreaterThan(25);
  return { folder, ledger, found, kept: LANES.slice(0, 25) };
}

it('writes a file anew from which something was scrubbed, when it is closed', async () => {
  const { ledger, found, kept } = await setUp();
  await ledger.close();
  expect(found()).toEqual(kept);
});

it('writes it anew when it is opened after a kill, and nothing is missing', async () => {
  const { folder, ledger, found, kept } = await setUp();
  const killed = temporaryFolder();
  cpSync(folder, killed, { recursive: true });
  const before = await ledger.list({}, 1_000);
  const again = await open({ kind: 'sqlite', path: join(killed, 'ledger.sqlite') });
  expect(found(killed)).toEqual(kept);
  expect(await again.list({}, 1_000)).toEqual(before);
});

it('writes it anew while it is used, an hour later', async () => {
  const { folder, ledger, found, kept } = await setUp();
  await ledger.close();
  let now = 0;
  const path = join(folder, 'ledger.sqlite');
  const later = await open({ kind: 'sqlite', path }, { monotonicNow: () => now });
  await later.read((db) => sql`pragma user_version = 1`.execute(db));
  const flagOf = async () => {
    const { rows } = await later.read((db) =>
      sql<{ user_version: number }>`pragma user_version`.execute(db),
    );
    return rows[0]?.user_version;
  };
  now = 3_599_000;
  await later.recount(FLOW.name, 1);
  expect(await flagOf()).toBe(1);
  now = 3_600_000;
  await later.recount(FLOW.name, 1);
  expect(await flagOf()).toBe(0);
  expect(found()).toEqual(kept);
});
