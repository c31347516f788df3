import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { type CrmAnswer, startCrm } from './crm.ts';
import { customerOf, JANE, PATH, setUpShop } from './set-up.ts';

const LINE = '221B Baker Street, NW1 6XE London, United Kingdom';

describe.each(LEDGER_KINDS)('the CRM, as it follows a shop in %s,', (kind) => {
  it('has what was created and changed, and no longer what was deleted', async () => {
    const shop = await setUpShop({ ledger: await newLocation(kind) });
    const { create, put, remove, deliver, crm, versions } = shop;
    const jane = await create();
    await deliver();
    const { address: _, updated_at: __, ...shown } = jane;
    expect(await crm.customers()).toEqual([{ ...shown, address: LINE }]);
    const joe = await create(customerOf(1));
    await put(jane.id, { name: 'Jane Roe', email: 'jane.roe@example.com' });
    await deliver();
    expect(await crm.customers()).toMatchObject([
      { id: jane.id, version: 2, name: 'Jane Roe', phone: null, address: null },
      { id: joe.id, version: 1, ...customerOf(1), created_at: joe.created_at },
    ]);
    await remove(jane.id);
    await deliver();
    expect((await crm.customers()).map(({ id }) => id)).toEqual([joe.id]);
    expect(await versions()).toEqual(['1 delivered', '1 delivered', '2 delivered', '3 delivered']);
    expect(crm.writes()).toEqual(['PUT 1', 'PUT 1', 'PUT 2', 'DELETE 3']);
  });

  it('takes for somebody new who takes the e-mail of a deleted customer', async () => {
    const shop = await setUpShop({ ledger: await newLocation(kind) });
    const { create, put, remove, deliver, crm, ledger } = shop;
    const first = await create();
    await deliver();
    await remove(first.id);
    const second = await create();
    expect(second).toMatchObject({ email: first.email, version: 1 });
    expect(second.id).not.toBe(first.id);
    await deliver();
    await put(second.id, { ...JANE, name: 'Jane Roe' });
    await deliver();
    expect(await crm.customers()).toMatchObject([{ id: second.id, version: 2, name: 'Jane Roe' }]);
    const lanes = (await ledger.list({}, 9)).map(({ lane, status }) => [lane, status]);
    expect(lanes).toEqual([
      ...[first.id, first.id, second.id, second.id].map((id) => [id, 'delivered']),
    ]);
  });
});

/** A shop whose customer is at version 2; version 1 has reached the CRM. */
async function setUp(options: Parameters<typeof setUpShop>[0] = {}) {
  const shop = await setUpShop({ isClockStill: true, ...options });
  const { id } = await shop.create();
  await shop.deliver();
  const change = () => shop.put(id, { ...JANE, name: 'Jane Roe' });
  /** The last attempt of the last change, as its history says. */
  const lastOf = async (version: number) => {
    const found = await shop.ledger.get('customer-sync', `${id}:${version}`);
    const { status, attempts, last_error } = found?.delivery ?? {};
    const outcomes = (found?.history ?? []).map(({ what }) => what);
    return { status, attempts, last_error, outcomes };
  };
  return { ...shop, id, change, lastOf };
}

const json = (status: number, body: object): CrmAnswer => {
  return { status, headers: { 'content-type': 'application/json' }, body };
};

describe('a change is delivered again after', () => {
  it.each<[string, CrmAnswer | 'cut' | ((id: string) => CrmAnswer), string]>([
    ['200 with another id', json(200, { id: 'another', version: 2 }), 'unknown'],
    ['201 with an earlier version', (id) => json(201, { id, version: 1 }), 'unknown'],
    ['200 without a version', (id) => json(200, { id }), 'unknown'],
    ['200 that is no JSON', { status: 200, body: '<html>' }, 'unknown'],
    ['202', (id) => json(202, { id, version: 2 }), 'unknown'],
    ['500', json(500, { detail: 'no' }), 'unknown'],
    ['503', json(503, { detail: 'no' }), 'transient'],
    ['no answer', 'cut', 'unknown'],
  ])('%s', async (_, answer, outcome) => {
    const { id, change, deliver, crm, lastOf } = await setUp();
    let times = 0;
    crm.fail(({ method }) => {
      if (method !== 'PUT' || times++ > 0) return undefined;
      return typeof answer === 'function' ? answer(id) : answer;
    });
    await change();
    await deliver();
    expect(await lastOf(2)).toMatchObject({
      ...{ status: 'delivered', outcomes: ['ingested', outcome, 'delivered'] },
    });
    expect(crm.writes()).toEqual(['PUT 1', 'PUT 2', 'PUT 2']);
    expect(await crm.customers()).toMatchObject([{ id, version: 2, name: 'Jane Roe' }]);
  });

  it.each(['hang', 'cut', { status: 500 }] as const)(
    'the CRM has stored it and then: %j',
    async (then) => {
      const shop = await setUp(then === 'hang' ? { requestTimeoutMs: 3_000 } : {});
      const { id, change, remove, deliver, crm, lastOf } = shop;
      let times = 0;
      crm.fail(async ({ method }, store) => {
        if (method === 'GET' || times++ % 2 > 0) return undefined;
        await store();
        return then;
      });
      await change();
      await deliver();
      await remove(id);
      await deliver();
      expect((await lastOf(2)).outcomes).toEqual(['ingested', 'unknown', 'delivered']);
      expect((await lastOf(3)).status).toBe('delivered');
      expect(crm.writes()).toEqual(['PUT 1', 'PUT 2', 'PUT 2', 'DELETE 3', 'DELETE 3']);
      expect(await crm.customers()).toEqual([]);
    },
  );
});

describe('a change is a dead letter after', () => {
  it.each<[string, CrmAnswer, string]>([
    ['412 with a version', json(412, { detail: 'no', version: 9 }), 'the CRM has version 9'],
    ['412 without', json(412, { detail: 'no' }), '412 Precondition Failed: {"detail":"no"}'],
    ['412 with a text', { status: 412, body: 'version' }, '412 Precondition Failed: version'],
    ['422', json(422, { detail: 'no' }), '422 Unprocessable Entity: {"detail":"no"}'],
    ['404', json(404, { detail: 'no' }), '404 Not Found: {"detail":"no"}'],
    ['409', json(409, { detail: 'no' }), '409 Conflict: {"detail":"no"}'],
  ])('%s', async (name, answer, reason) => {
    const { change, put, id, deliver, crm, lastOf } = await setUp();
    crm.fail(({ method }) => (method === 'PUT' ? answer : undefined));
    await change();
    await deliver();
    const outcome = name.startsWith('412') ? 'stale' : 'permanent';
    expect(await lastOf(2)).toEqual({
      ...{ status: 'dead', attempts: 1, last_error: reason, outcomes: ['ingested', outcome] },
    });
    crm.fail();
    await put(id, { ...JANE, name: 'Jane Poe' });
    await deliver();
    expect((await lastOf(2)).status).toBe('superseded');
    expect(await crm.customers()).toMatchObject([{ version: 3, name: 'Jane Poe' }]);
  });

  it('as many attempts as there may be', async () => {
    const { change, deliver, crm, lastOf } = await setUp({ settings: { MAX_ATTEMPTS: 3 } });
    crm.fail(({ method }) => (method === 'PUT' ? json(500, { detail: 'no' }) : undefined));
    await change();
    await deliver();
    expect(await lastOf(2)).toMatchObject({ status: 'dead', attempts: 3 });
  });
});

it('pauses the CRM, for all flows, when it asks for fewer calls', async () => {
  const { change, deliver, crm, lastOf, pauses, until, advance } = await setUp();
  let isBusy = true;
  crm.fail(() => (isBusy ? { status: 429, headers: { 'retry-after': '600' } } : undefined));
  await change();
  await until(() => pauses.CRM.waitMs() > 0);
  await until(async () => (await lastOf(2)).status === 'pending');
  expect(await lastOf(2)).toMatchObject({ attempts: 0, outcomes: ['ingested', 'throttled'] });
  isBusy = false;
  advance(600_001);
  await deliver();
  expect((await lastOf(2)).status).toBe('delivered');
});

it('sends nothing while the CRM refuses access, and uses up no attempt', async () => {
  const { change, deliver, crm, lastOf, breaker, until, advance, untilLogged } = await setUp();
  let isRefusing = true;
  crm.fail(() => (isRefusing ? { status: 401 } : undefined));
  await change();
  await untilLogged('The CRM refuses access: 401 Unauthorized.');
  await until(() => breaker.state() === 'open');
  await until(async () => (await lastOf(2)).status === 'pending');
  expect(await lastOf(2)).toMatchObject({ attempts: 0, outcomes: ['ingested', 'unauthorized'] });
  isRefusing = false;
  advance(60_000);
  await deliver();
  expect((await lastOf(2)).status).toBe('delivered');
});

it('never shows the secret of the URL, whatever the CRM answers', async () => {
  const crm = await startCrm();
  const url = new URL(`${crm.url.href}/?key=canary-of-ours`);
  const { create, deliver, remove, get, ledger } = await setUpShop({
    crm,
    settings: { CUSTOMER_SYNC_URL: url, MAX_ATTEMPTS: 1 },
  });
  crm.fail(({ url: path }) => ({ status: 422, body: `refused: ${path}` }));
  const { id } = await create();
  await deliver();
  expect(crm.requests.map(({ url: path }) => path)).toEqual([
    `${crm.url.pathname}/${id}?key=canary-of-ours`,
  ]);
  await remove(id);
  await deliver();
  const told = JSON.stringify([await ledger.list({}, 9), (await get('/failed-requests')).json()]);
  expect(told).toContain('refused');
  expect(told).not.toContain('canary-of-ours');
  expect((await get(`${PATH}/${id}`)).statusCode).toBe(404);
});
