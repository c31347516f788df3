import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { idempotencyKey } from '../src/delivery/idempotency-key.ts';
import type { Ledger, LedgerLocation } from '../src/delivery/ledger/ledger.ts';
import { queryPostgres, SOURCE } from './ledgers.ts';

const FLOW = 'welcome-package';
const OF = { flow: FLOW, source: SOURCE };
const T0 = 1_795_000_000_000;

/**
 * Writes a ledger as the service of 2026-11-28 left it, with a delivery in each state. The statements are a
 * dump of what that service wrote, by `sight`, `claim`, `commit` and the other methods of its ledger.
 */
export async function writeOldLedger(location: LedgerLocation): Promise<void> {
  const file = new URL(`fixtures/ledger-2026-11-28.${location.kind}.sql`, import.meta.url);
  await execute(location, readFileSync(file, 'utf8'));
}

/** Runs statements in the database of a ledger that is not open. */
export async function execute(location: LedgerLocation, statements: string): Promise<void> {
  if (location.kind === 'postgres') return queryPostgres(statements, location.url);
  const database = new DatabaseSync(location.path);
  database.exec(statements);
  database.close();
}

/** Expects everything that the old ledger had, in the words of today. */
export async function expectCarriedOver(ledger: Ledger): Promise<void> {
  const rows = await ledger.list({}, 99);
  expect(rows.map(({ sequence, key, lane, status }) => [sequence, key, lane, status])).toEqual([
    [1, 'adopted', 'adopted', 'delivered'],
    [2, 'delivered', 'delivered', 'delivered'],
    [3, 'dead', 'dead', 'dead'],
    [4, 'unknown', 'unknown', 'unknown'],
    [5, 'settled', 'settled', 'delivered'],
    [6, 'later', 'later', 'pending'],
    [7, 'sending', 'sending', 'sending'],
    [8, 'held', 'held', 'held'],
    [9, 'pending', 'pending', 'pending'],
  ]);
  for (const { flow, key, payload } of rows) {
    expect(flow).toBe(FLOW);
    const id = key.toUpperCase();
    expect(payload).toBe(`{"customer_id":"${id}","package_type":"welcome_package"}`);
  }
  // Other bytes would make a second package of a repetition.
  expect(idempotencyKey(FLOW, 'sending')).toBe('"welcome-package/sending"');
  expect(rows.map(({ target_id }) => target_id).filter(Boolean)).toEqual([
    ...['request-0', 'request-1', 'request-2'],
  ]);
  const times = rows.map(({ next_attempt_at }) => next_attempt_at && next_attempt_at - T0);
  expect(times).toEqual([null, null, null, 500_000, null, 600_000, null, null, 60]);
  const historyOf = async (key: string) => (await ledger.get(FLOW, key))?.history;
  expect((await historyOf('settled'))?.map(({ what }) => what)).toEqual([
    ...['ingested', 'unknown', 'found'],
  ]);
  expect((await historyOf('later'))?.map(({ what }) => what)).toEqual(['ingested', 'aborted']);
  expect(await historyOf('dead')).toContainEqual({
    ...{ at: T0 + 15, what: 'permanent', attempt: 1, status_code: 503, next_attempt_at: null },
    reason: '422 Unprocessable Entity: no such address',
  });
  expect(await ledger.isAdopted(FLOW)).toBe(true);
  expect(await ledger.polledAt(FLOW)).toBe(T0 + 3);
  expect(await ledger.readProgress(OF)).toEqual({
    ...{ position: { list: 'a', url: '<>', etag: '"1"' }, sweptAt: T0 + 2 },
  });
  expect(await ledger.rejectedRecords(OF, 9)).toEqual([
    ...[
      {
        fingerprint: 'f1',
        position: 3,
        id: '7',
        reason: 'its id is not a string',
        isAccepted: true,
      },
      { fingerprint: 'f2', position: null, id: null, reason: 'it has no id', isAccepted: false },
    ],
  ]);
  expect(await ledger.lastAudit(FLOW)).toEqual({ missing: 1, doubled: 0, orphaned: 0, dead: 1 });
  const pause = { pausedAt: T0 + 100, pausedUntil: T0 + 5_000 };
  expect(await ledger.readPause('inventory')).toEqual(pause);
}
