import { DatabaseSync } from 'node:sqlite';
import { expect, it, vi } from 'vitest';
import type { Claim, Item, Transition } from '../src/delivery/delivery.ts';
import { newLocation, open } from './ledgers.ts';

const NOW = 1_700_000_000_000;
const FLOW = { name: 'a-flow', supersedes: true, hasOwnKeys: true, keepsLabels: true };

const itemOf = (lane: string, number: number, more: Partial<Item> = {}): Item => {
  return { key: `${lane}@${number}`, lane, payload: '{}', operation: 'update', ...more };
};

function entryOf(claim: Claim, status: Transition['status']) {
  const nextAttemptAt = status === 'unknown' ? NOW : null;
  const { attempts } = claim;
  return { claim, transition: { status, attempts, reads: 0, lastError: null, nextAttemptAt } };
}

// SQLite plans without statistics: an index on the status looks better to it than the number of a row, and
// a drain of 10,000 then takes three times as long.
it('no work of a service on SQLite reads all deliveries of a flow or a status', async () => {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  const location = await newLocation('sqlite');
  const ledger = await open(location);
  const ingest = (...items: Item[]) => ledger.ingest(FLOW, async () => items, { now: NOW });
  const claim = () => ledger.claim(FLOW.name, { limit: 9, now: NOW, order: 'lane' });
  const claimOne = async () => (await claim())[0] as Claim;
  const endAs = async (status: Transition['status']) => {
    const claims = await claim();
    await ledger.renew(claims, NOW);
    await ledger.commit(
      claims.map((each) => entryOf(each, status)),
      NOW,
    );
    return claims.map(({ sequence }) => sequence);
  };

  await ingest(itemOf('a', 1), itemOf('b', 1));
  await ingest(itemOf('a', 2));
  await ledger.replay(await endAs('dead'), NOW);
  const found = await endAs('dead');
  await ledger.markFound(new Map(found.map((sequence) => [sequence, 'an id'])), NOW);
  expect(await ledger.sendAgain(FLOW.name, new Map([['a@2', 'lost']]), { now: NOW })).toBe(1);
  await ledger.commit([entryOf(await claimOne(), 'unknown')], NOW);
  const unknown = await ledger.claimUnknown(FLOW.name, { limit: 9, now: NOW });
  await ledger.commit(
    unknown.map((each) => entryOf(each, 'held')),
    NOW,
  );
  expect(await ledger.release({}, NOW)).toBe(1);
  await ingest(itemOf('b', 2, { operation: 'delete', endsLane: true }));
  await endAs('delivered');

  const database = new DatabaseSync('path' in location ? location.path : '');
  const planOf = (sql: string) =>
    database
      .prepare(`explain query plan ${sql.replaceAll('?', 'null')}`)
      .all()
      .map(({ detail }) => String(detail));
  const statements = new Set(prepare.mock.calls.map(([sql]) => sql.trim()));
  const updates = [...statements].filter((sql) => /\bupdate (deliveries|events) set/.test(sql));
  const named = updates.filter((sql) => sql.includes('json_each'));
  expect(named.length).toBeGreaterThanOrEqual(9);
  for (const sql of named) {
    expect({ sql, plan: planOf(sql) }).toMatchObject({
      plan: expect.arrayContaining([
        expect.stringMatching(
          /^SEARCH (deliveries USING INTEGER PRIMARY KEY|events USING .*INDEX events_of_delivery)/,
        ),
      ]),
    });
  }
  for (const sql of statements) {
    if (!/^(select|update|insert|with)/.test(sql)) continue;
    const scans = planOf(sql).filter((step) => /^SCAN (deliveries|events)\b/.test(step));
    expect({ sql, scans }).toMatchObject({ scans: [] });
  }
  database.close();
});
