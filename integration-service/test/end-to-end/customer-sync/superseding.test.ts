import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { JANE, setUpShop } from './set-up.ts';

describe.each(LEDGER_KINDS)('what the CRM could not take, with a ledger in %s,', (kind) => {
  const setUp = async () => setUpShop({ ledger: await newLocation(kind), isClockStill: true });
  type Shop = Awaited<ReturnType<typeof setUp>>;

  const named = (number: number) => ({ ...JANE, name: `Jane ${number}` });
  async function receipts({ ledger }: Shop) {
    const rows = await ledger.list({ flow: 'customer-sync' }, 99);
    const keyOf = (number: number | null) => rows.find(({ sequence }) => sequence === number)?.key;
    return Promise.all(
      rows.map(async ({ key, status, superseded_by }) => {
        const { history = [] } = (await ledger.get('customer-sync', key)) ?? {};
        const successor = keyOf(superseded_by)?.split(':')[1];
        return [key.split(':')[1], status, successor, history.at(-1)?.reason].slice(
          ...(status === 'superseded' ? [0, 4] : [0, 2]),
        );
      }),
    );
  }

  it('arrives as one change, and each earlier one names the one that replaced it', async () => {
    const shop = await setUp();
    const { create, put, deliver, crm, advance, until, breaker, dispatcher } = shop;
    const { id } = await create(named(1));
    await deliver();
    await crm.stop();
    for (let i = 2; i <= 6; i++) expect((await put(id, named(i))).statusCode).toBe(200);
    dispatcher.wake();
    await until(() => breaker.state() === 'open');
    expect(await crm.customers()).toMatchObject([{ version: 1 }]);
    await crm.start();
    advance(60_000);
    await deliver();
    expect(crm.writes()).toEqual(['PUT 1', 'PUT 6']);
    expect(await crm.customers()).toMatchObject([{ id, version: 6, name: 'Jane 6' }]);
    const reason = 'a later state of its record replaces it';
    const [first, ...others] = await receipts(shop);
    expect(first).toEqual(['1', 'delivered']);
    expect(others.pop()).toEqual(['6', 'delivered']);
    expect(others.map(([version, status]) => `${version} ${status}`)).toEqual(
      [2, 3, 4, 5].map((version) => `${version} superseded`),
    );
    // One that was under way names a later one than the next.
    for (const [version, , successor] of others) {
      expect(Number(successor)).toBeGreaterThan(Number(version));
    }
    expect(others.at(-1)?.at(2)).toBe('6');
    expect(others.at(-1)?.at(3)).toBe(reason);
  });

  it('and refused is a dead letter, which the next change supersedes', async () => {
    const shop = await setUp();
    const { create, put, deliver, crm, versions, ledger } = shop;
    const { id } = await create(named(1));
    await deliver();
    crm.fail(({ body }) =>
      body.includes('Jane 2') ? { status: 422, body: { detail: 'no Jane 2 here' } } : undefined,
    );
    await put(id, named(2));
    await deliver();
    expect(await versions()).toEqual(['1 delivered', '2 dead']);
    const [, dead] = await ledger.list({}, 9);
    expect(dead?.last_error).toBe('422 Unprocessable Entity: {"detail":"no Jane 2 here"}');
    await put(id, named(3));
    await deliver();
    expect(await versions()).toEqual(['1 delivered', '2 superseded', '3 delivered']);
    // Nobody can send it any more.
    expect(await ledger.replay([dead?.sequence as number], Date.now())).toEqual([]);
    expect(await crm.customers()).toMatchObject([{ version: 3, name: 'Jane 3' }]);
  });

  it('is not sent in any other flow either, once the customer is deleted', async () => {
    const { create, remove, deliver, ledger, crm } = await setUp();
    const [jane, joe] = [await create(), await create({ name: 'Joe', email: 'joe@example.com' })];
    const rules = {
      name: 'welcome-package',
      supersedes: false,
      hasOwnKeys: false,
      keepsLabels: false,
    };
    const packageOf = ({ id }: { id: string }) => ({ key: id, lane: id, payload: '{}' });
    const ingest = () =>
      ledger.ingest(rules, async () => [packageOf(jane), packageOf(joe)], { now: Date.now() });
    await ingest();
    await remove(jane.id);
    await deliver();
    const packages = (await ledger.list({ flow: rules.name }, 9)).map(({ key, status }) => [
      key,
      status,
    ]);
    expect(packages).toEqual([
      ...[
        [jane.id, 'superseded'],
        [joe.id, 'pending'],
      ],
    ]);
    expect((await crm.customers()).map(({ id }) => id)).toEqual([joe.id]);
    expect(await ingest()).toMatchObject({ known: 2 });
  });
});
