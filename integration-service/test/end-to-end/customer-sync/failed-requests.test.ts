import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import type { FailedRequest } from '../../../src/customer-sync/failed-requests-view.ts';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { customerOf, setUpShop } from './set-up.ts';

const PATH = '/failed-requests';
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe.each(LEDGER_KINDS)('failed requests, with a ledger in %s,', (kind) => {
  async function setUp(options: Parameters<typeof setUpShop>[0] = {}) {
    const ledger = await newLocation(kind);
    const shop = await setUpShop({ ledger, isClockStill: true, ...options });
    const view = () =>
      shop.ledger.within(async (db) => {
        return (
          await sql<FailedRequest>`select * from failed_requests order by sequence`.execute(db)
        ).rows;
      });
    const failed = async (query = ''): Promise<Omit<FailedRequest, 'sequence'>[]> =>
      (await shop.get(`${PATH}${query}`)).json();
    const customers: { id: string }[] = [];
    for (let i = 0; i < 14; i++) customers.push(await shop.create(customerOf(i)));
    await shop.deliver();
    const idOf = (i: number) => customers[i]?.id as string;
    /** 6 creates, 7 updates, 7 deletes. */
    async function change20(name = 'Changed'): Promise<unknown[]> {
      const changes = [];
      for (let i = 0; i < 7; i++) {
        await shop.put(idOf(i), { ...customerOf(i), name });
        await shop.remove(idOf(i + 7));
        changes.push(
          { customer_id: idOf(i), operation: 'UPDATE' },
          { customer_id: idOf(i + 7), operation: 'DELETE' },
        );
      }
      for (let i = 20; i < 26; i++) {
        changes.push({ customer_id: (await shop.create(customerOf(i))).id, operation: 'CREATE' });
      }
      return changes;
    }
    return { ...shop, view, failed, change20, idOf };
  }

  it('are all changes that wait while the CRM is away, until it is back', async () => {
    const { crm, change20, failed, view, until, breaker, advance, deliver, ledger, now } =
      await setUp();
    expect(await failed()).toEqual([]);
    await crm.stop();
    const changes = await change20();
    await until(() => breaker.state() === 'open');
    await until(async () => (await ledger.countByStatus('customer-sync')).sending === 0);
    const opensAt = new Date(now() + breaker.waitMs()).toISOString();
    const rows = await failed();
    expect(rows).toMatchObject(changes);
    for (const { status, attempts, last_error, next_attempt_at, since } of rows) {
      expect(status).toBe('pending');
      expect(last_error === null).toBe(attempts === 0);
      expect(since).toMatch(TIME);
      expect((next_attempt_at as string) >= opensAt).toBe(true);
    }
    expect(rows.filter(({ attempts }) => attempts > 0).length).toBeGreaterThanOrEqual(1);
    expect(rows.find(({ last_error }) => last_error)?.last_error).toMatch(
      /ECONNREFUSED|other side closed/,
    );
    // The view has the same, but for the breaker, and its times are those of the ledger.
    const seen = await view();
    expect(seen).toEqual(
      rows.map((row) => ({
        ...{ ...row, sequence: expect.any(Number), next_attempt_at: expect.stringMatching(TIME) },
      })),
    );
    const deliveries = await ledger.list({ status: 'pending' }, 99);
    const iso = (at: number | null) => new Date(at ?? 0).toISOString();
    expect(seen.map(({ since, next_attempt_at }) => [since, next_attempt_at])).toEqual(
      deliveries.map(({ created_at, next_attempt_at }) => [iso(created_at), iso(next_attempt_at)]),
    );
    await crm.start();
    advance(60_000);
    await deliver();
    expect([await failed(), await view()]).toEqual([[], []]);
  });

  it('are seen in pages', async () => {
    const { crm, change20, get, until, breaker } = await setUp();
    await crm.stop();
    const changes = await change20();
    await until(() => breaker.state() === 'open');
    const rows = [];
    for (let url: string | undefined = `${PATH}?limit=7`; url; ) {
      const response = await get(url);
      rows.push(...response.json());
      const next = /^<(\?[^>]*)>; rel="next"$/.exec((response.headers.link as string) ?? '')?.[1];
      url = next && `${PATH}${next}`;
    }
    expect(rows).toMatchObject(changes);
  });

  it('are seen while a later change has replaced all that failed', async () => {
    const { crm, idOf, put, failed, view, until, breaker, ledger } = await setUp();
    await crm.stop();
    const changeAll = async (name: string) => {
      for (let i = 0; i < 5; i++) await put(idOf(i), { ...customerOf(i), name });
    };
    await changeAll('Once');
    await until(() => breaker.state() === 'open');
    await until(async () => (await ledger.countByStatus('customer-sync')).sending === 0);
    for (const name of ['Twice', 'Thrice']) {
      await changeAll(name);
      expect([await failed(), await view()]).toMatchObject([{ length: 5 }, { length: 5 }]);
    }
  });

  it('are seen while the only one that was tried is tried again', async () => {
    const { crm, idOf, put, failed, until, breaker, ledger, advance, stop } = await setUp();
    crm.fail(({ method }) => (method === 'GET' ? undefined : { status: 500 }));
    await put(idOf(0), { ...customerOf(0), name: 'Changed' });
    await until(() => breaker.state() === 'open');
    for (let i = 1; i < 5; i++) await put(idOf(i), { ...customerOf(i), name: 'Changed' });
    crm.fail(() => 'hang');
    advance(60_000);
    await until(async () => (await ledger.countByStatus('customer-sync')).sending === 1);
    expect((await failed()).map(({ status }) => status).sort()).toEqual([
      ...['pending', 'pending', 'pending', 'pending', 'sending'],
    ]);
    await crm.stop();
    await stop();
  });

  it('are also those that wait for a person', async () => {
    const { crm, idOf, put, failed, view, deliver, ledger, remove } = await setUp();
    crm.fail(({ method }) => (method === 'GET' ? undefined : { status: 422, body: 'no' }));
    await put(idOf(0), { ...customerOf(0), name: 'Changed' });
    await remove(idOf(1));
    await deliver();
    const payload = { payload: '{}', operation: 'update' as const };
    const item = { ...payload, key: `${idOf(2)}:2`, lane: idOf(2) };
    const rules = { name: 'customer-sync', supersedes: true, hasOwnKeys: true, keepsLabels: true };
    await ledger.ingest(rules, async () => [item], { now: 0, isHeld: true });
    const last_error = '422 Unprocessable Entity: no';
    const expected = [
      ...[
        ['UPDATE', 'dead', 1, last_error],
        ['DELETE', 'dead', 1, last_error],
      ],
      ['UPDATE', 'held', 0, null],
    ].map(([operation, status, attempts, last_error], i) => ({
      ...{ customer_id: idOf(i), operation, status, attempts, last_error, next_attempt_at: null },
    }));
    expect(await failed()).toMatchObject(expected);
    expect(await view()).toMatchObject(expected);
    expect((await failed())[2]?.since).toBe('1970-01-01T00:00:00.000Z');
  });

  it('are none of another flow, and not what is merely on its way', async () => {
    const { ledger, put, idOf, failed, stop } = await setUp();
    await stop();
    const rules = {
      name: 'welcome-package',
      supersedes: false,
      hasOwnKeys: false,
      keepsLabels: false,
    };
    await ledger.ingest(rules, async () => [{ key: 'a', lane: 'a', payload: '{}' }], {
      ...{ now: 0, isHeld: true },
    });
    await put(idOf(0), { ...customerOf(0), name: 'Changed' });
    expect(await failed()).toEqual([]);
  });

  it('are found without a look at what is delivered', async () => {
    const { ledger, view } = await setUp();
    const plan = await ledger.within(async (db) => {
      await sql.raw(`${DELIVERED} ${NUMBERS[kind]}`).execute(db);
      await sql.raw(EVENTS).execute(db);
      if (kind === 'postgres') await sql`analyze`.execute(db);
      const explain = kind === 'sqlite' ? 'explain query plan' : 'explain';
      const select = 'select * from failed_requests where sequence > 0 order by sequence limit 100';
      const { rows } = await sql<object>`${sql.raw(explain)} ${sql.raw(select)}`.execute(db);
      return rows.map((row) => Object.values(row).at(-1) as string);
    });
    expect(plan.length).toBeGreaterThan(5);
    const scans = plan.filter((step) =>
      /SCAN (deliveries|each|failed|events)\b|Seq Scan/.test(step),
    );
    expect({ scans, plan }).toMatchObject({ scans: [] });
    expect(plan.join('\n')).toMatch(/deliveries_by_status|deliveries_due/);
    expect(await view()).toEqual([]);
  });
});

/** 20,000 deliveries that are delivered, with their histories. */
const DELIVERED = `insert into deliveries
  (flow, key, lane, operation, payload, status, created_at, updated_at)
  select 'customer-sync', 'x' || i || ':1', 'x' || i, 'create', '{}', 'delivered', 0, 0 from`;
const NUMBERS = {
  sqlite:
    '(with recursive numbers (i) as (select 1 union all select i + 1 from numbers where i < 20000) select i from numbers)',
  postgres: 'generate_series(1, 20000) as numbers (i)',
};
const EVENTS =
  "insert into events (delivery, at, what) select sequence, 0, 'delivered' from deliveries";
