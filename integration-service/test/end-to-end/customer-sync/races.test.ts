import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { startCrm } from './crm.ts';
import { JANE, PATH, setUpShop } from './set-up.ts';

const TIMES = 20;

describe.each(LEDGER_KINDS)('changes at the same time in %s', (kind) => {
  /** On PostgreSQL, two services with one database; a change goes to one of them, in turn. */
  async function setUp() {
    const [ledger, crm] = [await newLocation(kind), await startCrm()];
    const first = await setUpShop({ ledger, crm });
    const second = kind === 'postgres' ? await setUpShop({ ledger, crm }) : first;
    const shopOf = (i: number) => (i % 2 === 0 ? first : second);
    const all = <Value>(run: (shop: typeof first, i: number) => Promise<Value>) =>
      Promise.all(Array.from({ length: TIMES }, (_, i) => run(shopOf(i), i)));
    const countOf = (responses: { statusCode: number }[]) => {
      const counts: Record<number, number> = {};
      for (const { statusCode } of responses) counts[statusCode] = (counts[statusCode] ?? 0) + 1;
      return counts;
    };
    const deliver = async () => {
      await first.deliver();
      if (second !== first) await second.deliver();
    };
    return { first, second, crm, all, countOf, deliver };
  }

  it('create one customer with an e-mail', async () => {
    const { first, crm, all, countOf, deliver } = await setUp();
    const responses = await all((shop) => shop.post());
    expect(countOf(responses)).toEqual({ 201: 1, 409: TIMES - 1 });
    expect((await first.get()).json()).toHaveLength(1);
    await deliver();
    expect(await crm.customers()).toHaveLength(1);
  });

  it('give an e-mail to one customer', async () => {
    const { first, all, countOf } = await setUp();
    const customers = await all((shop, i) =>
      shop.create({ name: 'J', email: `j${i}@example.com` }),
    );
    const responses = await all((shop, i) => shop.put(customers[i]?.id as string, JANE));
    expect(countOf(responses)).toEqual({ 200: 1, 409: TIMES - 1 });
    const emails = (await first.get()).json().map(({ email }: typeof JANE) => email);
    expect(new Set(emails).size).toBe(TIMES);
  });

  it('with the same If-Match have one winner, and without any, each its version', async () => {
    const { first, crm, all, countOf, deliver } = await setUp();
    const { id } = await first.create();
    const change = (i: number) => ({ ...JANE, name: `Jane ${i}` });
    const guarded = await all((shop, i) => shop.put(id, change(i), { 'if-match': '"1"' }));
    expect(countOf(guarded)).toEqual({ 200: 1, 412: TIMES - 1 });
    const free = await all((shop, i) => shop.put(id, change(i + TIMES)));
    const versions = free.map((response) => response.json().version).sort((a, b) => a - b);
    expect(versions).toEqual(Array.from({ length: TIMES }, (_, i) => i + 3));
    await deliver();
    const { updated_at: _, address: __, ...held } = (await first.get(`${PATH}/${id}`)).json();
    expect(await crm.customers()).toMatchObject([held]);
    expect(held.version).toBe(TIMES + 2);
  });

  it('with a delete among them end with the delete', async () => {
    const { first, crm, all, countOf, deliver } = await setUp();
    const { id } = await first.create();
    const responses = await all((shop, i) =>
      i >= TIMES / 2 && i < TIMES / 2 + 2
        ? shop.remove(id)
        : shop.put(id, { ...JANE, name: `Jane ${i}` }),
    );
    const { 200: changed = 0, 204: deleted, 404: late = 0, ...others } = countOf(responses);
    expect([deleted, changed + late, others]).toEqual([1, TIMES - 1, {}]);
    await deliver();
    const statuses = await first.versions();
    expect(statuses).toHaveLength(changed + 2);
    expect(statuses.at(-1)).toBe(`${changed + 2} delivered`);
    expect(await crm.customers()).toEqual([]);
    expect((await first.get()).json()).toEqual([]);
  });

  it('of the delete and of who takes the e-mail leave one customer, or none', async () => {
    const { first, second, crm, deliver } = await setUp();
    for (let i = 0; i < TIMES; i++) {
      const { id } = await first.create();
      const [, taken] = await Promise.all([first.remove(id), second.post()]);
      expect([201, 409]).toContain(taken.statusCode);
      const there = (await first.get()).json();
      expect(there.map((each: { id: string }) => each.id)).toEqual(
        taken.statusCode === 201 ? [taken.json().id] : [],
      );
      if (taken.statusCode === 201) await second.remove(taken.json().id);
    }
    await deliver();
    expect(await crm.customers()).toEqual([]);
  });

  it('are never half: neither the customer nor the delivery is there alone', async () => {
    const { first } = await setUp();
    const { ledger, put, post, remove, get, versions, create } = first;
    const { id } = await create();
    const before = (await get(`${PATH}/${id}`)).json();
    await ledger.within(async (db) => {
      for (const statement of kind === 'sqlite' ? REFUSING.sqlite : REFUSING.postgres) {
        await sql.raw(statement).execute(db);
      }
    });
    for (const response of [
      await post({ ...JANE, email: 'other@example.com' }),
      await put(id, { ...JANE, name: 'Jane Roe' }),
      await remove(id),
    ]) {
      expect(response.statusCode).toBeGreaterThanOrEqual(500);
    }
    expect((await get()).json()).toEqual([before]);
    expect(await versions()).toEqual(['1 pending']);
  });
});

/** The database takes no delivery any more. */
const REFUSING = {
  sqlite: [
    "create trigger refuse before insert on deliveries begin select raise(abort, 'refused'); end",
  ],
  postgres: [
    "create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$",
    'create trigger refuse before insert on deliveries for each row execute function refuse()',
  ],
};
