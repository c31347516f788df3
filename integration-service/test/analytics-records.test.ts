import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { ANALYTICS, JOINED_WITHIN_MS, joinRecords } from '../src/analytics/join.ts';
import { analyticsMigrations } from '../src/analytics/migrations.ts';
import { type Kind, parseRecord } from '../src/analytics/record.ts';
import { hashOf, noteChanges } from '../src/analytics/record-table.ts';
import type { IngestRules } from '../src/delivery/ledger/ledger.ts';
import { LEDGER_KINDS, newLocation, open } from './ledgers.ts';

const RULES: IngestRules = {
  ...{ name: ANALYTICS, supersedes: false, hasOwnKeys: false, keepsLabels: false },
};
const T0 = Date.parse('2026-01-01T12:00:00.000Z');
const at = (seconds: number) => new Date(T0 + seconds * 1_000).toISOString();
const customer = (id: string, name: string) => {
  return { id, name, email: `${name}@x.org`, created_at: at(0) };
};
const product = (price: number) => {
  return { id: 'p', sku: 'welcome_package', name: 'Welcome', price, currency: 'EUR', stock: 3 };
};
const request = (id: string, of: string, seconds = 7.5) => {
  return {
    request_id: id,
    customer_id: of,
    package_type: 'welcome_package',
    created_at: at(seconds),
  };
};

describe.each(LEDGER_KINDS)('records, with a ledger in %s', (kind) => {
  async function setUp() {
    const ledger = await open(await newLocation(kind), {
      ...{ hasThread: false, flowMigrations: analyticsMigrations },
    });
    /** What is ingested of records that a source shows. */
    async function show(of: Kind, records: object[], now = T0) {
      const ingested = await ledger.ingest(
        RULES,
        async (transaction) => {
          const parsed = records.map((record) => {
            const usable = parseRecord(of, record);
            if (typeof usable === 'string') throw new Error(usable);
            return { ...usable, hash: hashOf(record) };
          });
          return joinRecords(transaction, await noteChanges(transaction, parsed, now), now);
        },
        { now },
      );
      return ingested.items.map(({ key, lane, payload }) => {
        const { hash, ...cells } = JSON.parse(payload);
        expect(key.endsWith(`/${hash}`)).toBe(true);
        return { key: key.split('/').slice(0, 3).join('/'), lane, ...cells };
      });
    }
    return { ledger, show };
  }

  it('are known while they are as they were, and each change is a revision', async () => {
    const { show } = await setUp();
    const [a, b] = [customer('c', 'a'), customer('c', 'b')];
    expect(await show('customer', [a])).toEqual([
      { key: 'customer/c/1', lane: 'c', ...a, revision: 1, seen_at: at(0) },
    ]);
    // The same in another order of its fields.
    expect(await show('customer', [{ ...{ created_at: a.created_at }, ...a }])).toEqual([]);
    expect(await show('customer', [b], T0 + 1_000)).toMatchObject([
      { key: 'customer/c/2', name: 'b', revision: 2, seen_at: at(1) },
    ]);
    // A, B, and A again; twice in one list, too.
    expect(await show('customer', [a])).toMatchObject([{ revision: 3, name: 'a' }]);
    expect(await show('customer', [b, a, a])).toMatchObject([{ revision: 4 }, { revision: 5 }]);
  });

  it('of different kinds do not meet, whatever their ids', async () => {
    const { show } = await setUp();
    await show('customer', [customer('p', 'a')]);
    expect(await show('product', [product(1)])).toMatchObject([
      { key: 'product/p/1', lane: 'product/p', price: 1, revision: 1 },
    ]);
  });

  it('join a package request with its customer and its product as of then, once', async () => {
    const { show } = await setUp();
    await show('product', [product(10)]);
    await show('customer', [customer('c', 'old')]);
    await show('customer', [customer('c', 'new')]);
    const shown = { ...request('r', 'c'), status: 'pending' };
    expect(await show('package-request', [shown])).toEqual([
      {
        ...{ key: 'package-request/r/1', lane: 'c', request_id: 'r', customer_id: 'c' },
        ...{ customer_name: 'new', customer_email: 'new@x.org', product_sku: 'welcome_package' },
        ...{ product_name: 'Welcome', product_price: 10, product_currency: 'EUR' },
        ...{ requested_at: at(7.5), seconds_to_package: 7.5, revision: 1, seen_at: at(0) },
      },
    ]);
    expect(await show('package-request', [{ ...shown, status: 'shipped' }])).toEqual([]);
  });

  it('of a request that came first wait for the customer, with the product as of then', async () => {
    const { show } = await setUp();
    await show('product', [product(10)]);
    expect(await show('package-request', [request('r', 'c'), request('other', 'd')])).toEqual([]);
    await show('product', [product(99)]);
    expect(await show('customer', [customer('c', 'jane')])).toMatchObject([
      { key: 'customer/c/1' },
      { key: 'package-request/r/1', customer_name: 'jane', product_price: 10 },
    ]);
    expect(await show('customer', [customer('c', 'changed')])).toHaveLength(1);
  });

  it('of a request whose customer does not come go out after a time, with empty cells', async () => {
    const { show } = await setUp();
    await show('package-request', [request('r', 'c')]);
    expect(await show('package-request', [], T0 + JOINED_WITHIN_MS - 1)).toEqual([]);
    expect(await show('package-request', [], T0 + JOINED_WITHIN_MS)).toMatchObject([
      {
        ...{ key: 'package-request/r/1', customer_name: null, customer_email: null },
        seconds_to_package: null,
      },
    ]);
    expect(await show('customer', [customer('c', 'late')])).toHaveLength(1);
  });

  it('tell no seconds when the request is from before the customer, or a time is none', async () => {
    const { show } = await setUp();
    await show('customer', [customer('c', 'a')]);
    const requests = [request('r', 'c', -1), { ...request('s', 'c'), created_at: 'soon' }];
    expect(await show('package-request', requests)).toMatchObject([
      { seconds_to_package: null },
      { seconds_to_package: null },
    ]);
  });

  it('keep nothing of a customer who is gone: not in what waits, nor in what comes', async () => {
    const { show, ledger } = await setUp();
    await show('customer', [customer('c', 'Canary')]);
    await show('package-request', [request('r', 'd')]);
    const gone = ['c', 'd'].map((id) => {
      return {
        key: `${id}:2`,
        lane: id,
        payload: '{}',
        operation: 'delete' as const,
        endsLane: true,
      };
    });
    const other = { ...RULES, name: 'other', hasOwnKeys: true };
    await ledger.ingest(other, async () => gone, { now: T0 });
    expect(await show('package-request', [request('s', 'c')])).toEqual([]);
    expect(
      await show('customer', [customer('c', 'Canary again'), customer('d', 'Canary')]),
    ).toEqual([]);
    for (const claim of await ledger.claim('other', { order: 'lane', limit: 9, now: T0 })) {
      const event = { what: 'delivered', attempt: 1 };
      const transition = { status: 'delivered', attempts: 1, reads: 0, nextAttemptAt: null };
      await ledger.commit(
        [{ claim, transition: { ...transition, lastError: null, event } as never }],
        T0,
      );
    }
    const { rows } = await ledger.read((db) => sql`select * from deliveries`.execute(db));
    const waiting = await ledger.read((db) => sql`select * from analytics_waiting`.execute(db));
    expect(JSON.stringify([rows, waiting.rows])).not.toContain('Canary');
  });
});
