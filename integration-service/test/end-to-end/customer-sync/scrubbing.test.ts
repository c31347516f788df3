import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import type { Ledger, LedgerLocation } from '../../../src/delivery/ledger/ledger.ts';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { customerOf, setUpShop } from './set-up.ts';

/** A customer whose every text can be recognized. */
const canaryOf = (version: number) => ({
  ...{ name: `Name-Canary ${version}`, email: `mail-canary.${version}@example.com` },
  ...{
    phone: `Phone-Canary ${version}`,
    address: { street: `Street-Canary ${version}`, city: 'City-Canary' },
  },
});
const CANARY = /\w+-canary/gi;

/** Every text of every table. */
async function textsIn(ledger: Ledger, kind: LedgerLocation['kind']): Promise<string> {
  return ledger.within(async (db) => {
    const names = kind === 'sqlite' ? 'sqlite_schema' : 'information_schema.tables';
    const name = kind === 'sqlite' ? 'name' : 'table_name';
    const where =
      kind === 'sqlite'
        ? "type = 'table'"
        : "table_schema = 'public' and table_type = 'BASE TABLE'";
    const { rows } = await sql<{ name: string }>`
      select ${sql.raw(name)} as name from ${sql.raw(names)} where ${sql.raw(where)}`.execute(db);
    const tables = await Promise.all(
      rows.map((table) => sql`select * from ${sql.table(table.name)}`.execute(db)),
    );
    expect(rows.map((table) => table.name)).toEqual(
      expect.arrayContaining(['customers', 'events']),
    );
    return JSON.stringify(tables.map((table) => table.rows));
  });
}

/** All bytes of the files of a SQLite ledger. */
function bytesOf(location: LedgerLocation): string {
  const folder = dirname('path' in location ? location.path : '');
  return readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), 'latin1'))
    .join();
}

describe.each(LEDGER_KINDS)('a customer whom the CRM has deleted, too, in %s', (kind) => {
  it('leaves nothing of its person, whatever happened before', async () => {
    const location = await newLocation(kind);
    const shop = await setUpShop({ ledger: location, isClockStill: true });
    const { create, put, remove, deliver, crm, ledger, until, breaker, advance } = shop;
    const others = [];
    for (let i = 0; i < 5; i++) others.push(await create(customerOf(i)));
    const { id } = await create(canaryOf(1));
    await deliver();
    // Of the same customer, in another flow: a package that is delivered, and one that is not sent.
    const rules = {
      name: 'welcome-package',
      supersedes: false,
      hasOwnKeys: false,
      keepsLabels: true,
    };
    const packageOf = (key: string) => {
      return { key, lane: id, label: canaryOf(1).name, payload: JSON.stringify(canaryOf(1)) };
    };
    await ledger.ingest(rules, async () => [packageOf(id), packageOf(`${id}, too`)], { now: 0 });
    const [claim] = await ledger.claim(rules.name, { limit: 1, now: 1, order: 'lane' });
    const error = { attempts: 1, reads: 0, lastError: 'said of Name-Canary', nextAttemptAt: null };
    const event = { what: 'permanent', reason: 'said of Name-Canary' };
    const transition = { ...error, status: 'dead', event } as const;
    await ledger.commit(claim ? [{ claim, transition }] : [], 1);
    // Refused, with an answer that repeats all of it.
    crm.fail(({ body }) => (body.includes('Canary 2') ? { status: 422, body } : undefined));
    await put(id, canaryOf(2));
    await deliver();
    // Not sent, and superseded.
    await crm.stop();
    for (const version of [3, 4]) await put(id, canaryOf(version));
    for (const { id: other } of others)
      await put(other, { ...customerOf(7), email: `${other}@example.com` });
    await until(() => breaker.state() === 'open');
    expect((await textsIn(ledger, kind)).match(CANARY)?.length).toBeGreaterThan(20);
    await remove(id);
    await crm.start();
    advance(60_000);
    await deliver();
    expect((await crm.customers()).map((each) => each.id)).not.toContain(id);
    await shop.stop();
    expect((await textsIn(ledger, kind)).match(CANARY)).toBeNull();
    expect(await textsIn(ledger, kind)).toContain(customerOf(7).name);
    const rows = await ledger.list({ lane: id }, 99);
    expect(rows.map(({ status }) => status)).toEqual([
      ...[
        'delivered',
        'superseded',
        'superseded',
        'superseded',
        'superseded',
        'superseded',
        'delivered',
      ],
    ]);
    if (kind === 'sqlite') {
      await ledger.close();
      expect(bytesOf(location)).toContain(customerOf(7).name);
      expect(bytesOf(location).match(CANARY)).toBeNull();
    }
  });

  it('and is deleted there once more later leaves nothing either', async () => {
    const location = await newLocation(kind);
    const shop = await setUpShop({ ledger: location, isClockStill: true });
    const { create, remove, deliver, crm, ledger, advance, compare } = shop;
    const { id } = await create(canaryOf(1));
    await deliver();
    await remove(id);
    await deliver();
    await crm.forget();
    await crm.edit('PUT', id, { ...canaryOf(5), address: 'Street-Canary', version: 5 });
    advance(1_000);
    await compare();
    await deliver();
    expect(await crm.customers()).toEqual([]);
    await shop.stop();
    expect((await textsIn(ledger, kind)).match(CANARY)).toBeNull();
    if (kind !== 'sqlite') return;
    await ledger.close();
    expect(bytesOf(location).match(CANARY)).toBeNull();
  });
});
