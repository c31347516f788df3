import { expect, it } from 'vitest';
import type { CrmAnswer } from './crm.ts';
import { JANE, setUpShop } from './set-up.ts';

/** A shop whose customer was deleted; the CRM, which has version 1, is still to be told. */
async function setUp(options: Parameters<typeof setUpShop>[0] = {}) {
  const shop = await setUpShop({ isClockStill: true, ...options });
  const { id } = await shop.create();
  await shop.deliver();
  const outcomes = async () => {
    const { delivery, history = [] } = (await shop.ledger.get('customer-sync', `${id}:2`)) ?? {};
    const [, ...attempts] = history.map(({ what }) => what);
    return [...attempts, delivery?.status, delivery?.last_error];
  };
  return { ...shop, id, outcomes };
}

const GONE = ['delivered', 'delivered', null];
const json = (status: number, body: object): CrmAnswer => {
  return { status, headers: { 'content-type': 'application/json' }, body };
};

it('counts as delivered when a read says that the customer is gone', async () => {
  const { id, remove, deliver, crm, outcomes, ledger } = await setUp();
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual(GONE);
  const { history } = (await ledger.get('customer-sync', `${id}:2`)) ?? {};
  expect(history?.at(-1)).toMatchObject({ what: 'delivered', status_code: 204 });
  expect(crm.requests.slice(1).map(({ method, url }) => `${method} ${url}`)).toEqual([
    `DELETE ${crm.url.pathname}/${id}?version=2`,
    `GET ${crm.url.pathname}/${id}`,
  ]);
});

it('counts as delivered where the CRM never had the customer', async () => {
  const { id, remove, deliver, crm, outcomes } = await setUp();
  await crm.forget();
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual(GONE);
});

it.each([404, 410])(
  'counts as delivered where the CRM answers %i and has a list',
  async (status) => {
    const { id, remove, deliver, crm, outcomes } = await setUp();
    await crm.edit('DELETE', id);
    crm.fail(({ method }) => (method === 'DELETE' ? json(status, { detail: 'no' }) : undefined));
    await remove(id);
    await deliver();
    expect(await outcomes()).toEqual(GONE);
  },
);

it('is no success at a wrong address, where nothing is', async () => {
  const { id, remove, deliver, crm, outcomes } = await setUp();
  crm.fail(() => json(404, { detail: 'Not Found' }));
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual([
    ...['permanent', 'dead', expect.stringMatching(/^404 Not Found: .*, and it has no list: 404 /)],
  ]);
});

it.each<[CrmAnswer | 'cut', string]>([
  [json(503, {}), 'unknown'],
  [json(408, {}), 'unknown'],
  [json(401, {}), 'unauthorized'],
  ['cut', 'unknown'],
])('is no dead letter while the list cannot be read: %j', async (answer, kind) => {
  const { id, remove, deliver, crm, outcomes, until, advance } = await setUp();
  await crm.edit('DELETE', id);
  let isFailing = true;
  crm.fail(({ method, url }) => {
    if (method === 'DELETE') return json(404, { detail: 'no' });
    return isFailing && url === crm.url.pathname ? answer : undefined;
  });
  await remove(id);
  await until(async () => (await outcomes()).includes(kind));
  expect(await outcomes()).not.toContain('dead');
  isFailing = false;
  advance(60_000);
  await deliver();
  expect((await outcomes()).slice(-3)).toEqual(GONE);
});

it('is no success where the customer is still there', async () => {
  const shop = await setUp({ settings: { MAX_ATTEMPTS: 2 } });
  const { id, remove, deliver, crm, outcomes } = shop;
  crm.fail(({ method }) => (method === 'DELETE' ? { status: 204 } : undefined));
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual([
    ...['unknown', 'unknown', 'dead', 'it was deleted, and is still there'],
  ]);
});

it('is no success either where the CRM answers 404 and lists the customer', async () => {
  const shop = await setUp({ settings: { MAX_ATTEMPTS: 1 } });
  const { id, remove, deliver, crm, outcomes } = shop;
  crm.fail(({ method }) => (method === 'DELETE' ? json(404, {}) : undefined));
  await remove(id);
  await deliver();
  expect((await outcomes()).slice(0, 2)).toEqual(['unknown', 'dead']);
  expect(await crm.customers()).toHaveLength(1);
});

it('is stale where the customer is there at a later version', async () => {
  const { id, remove, deliver, crm, outcomes } = await setUp();
  crm.fail(({ method }) => (method === 'DELETE' ? { status: 204 } : undefined));
  await crm.edit('PUT', id, { ...JANE, address: null, version: 9 });
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual(['stale', 'dead', 'the CRM has version 9']);
  crm.fail();
});

it('is stale where the CRM says so', async () => {
  const { id, remove, deliver, crm, outcomes } = await setUp();
  await crm.edit('PUT', id, { ...JANE, address: null, version: 9 });
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual(['stale', 'dead', 'the CRM has version 9']);
});

it('counts as delivered where the CRM has deleted the customer at a later version', async () => {
  const { id, remove, deliver, crm, outcomes } = await setUp();
  await crm.edit('PUT', id, { ...JANE, address: null, version: 8 });
  await crm.edit('DELETE', id);
  await remove(id);
  await deliver();
  expect(await outcomes()).toEqual(GONE);
});

it.each<[string, CrmAnswer | 'cut', string]>([
  ['fails', json(500, {}), 'unknown'],
  ['is busy', json(503, {}), 'transient'],
  ['ends', 'cut', 'unknown'],
  ['is refused', json(403, {}), 'unauthorized'],
  ['is odd', { status: 200, body: '<html>' }, 'unknown'],
  ['is told 400', json(400, {}), 'unknown'],
])('is not known while the read %s, and delivered when it can be read', async (_, answer, kind) => {
  const { id, remove, deliver, crm, outcomes, until, advance } = await setUp();
  let isFailing = true;
  crm.fail(({ method }) => (isFailing && method === 'GET' ? answer : undefined));
  await remove(id);
  await until(async () => (await outcomes()).includes(kind));
  expect(await outcomes()).not.toContain('delivered');
  isFailing = false;
  advance(60_000);
  await deliver();
  expect((await outcomes()).slice(-3)).toEqual(GONE);
});

it('supersedes what was not sent, which then never is', async () => {
  const { create, remove, deliver, crm, versions } = await setUpShop();
  const { id } = await create();
  await remove(id);
  await deliver();
  expect(crm.writes()).toEqual(['DELETE 2']);
  expect(await versions()).toEqual(['1 superseded', '2 delivered']);
});
