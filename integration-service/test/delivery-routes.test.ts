import { HttpResponse, http } from 'msw';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AppOptions, buildApp } from '../src/app.ts';
import { canonicalId } from '../src/welcome-package/customer-id.ts';
import {
  ALICE,
  BOB,
  captureLog,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  packageRequest,
  setUpService,
} from './support.ts';

const network = mockNetwork();
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const refuse = () => HttpResponse.json({ detail: 'no' }, { status: 422 });

/** The service's door, with Alice and Bob refused by the inventory. */
async function setUp(options: Partial<AppOptions> = {}) {
  const asked: string[] = [];
  network.use(
    crmLists([ALICE, BOB]),
    http.post(INVENTORY_URL, refuse, { once: true }),
    http.post(INVENTORY_URL, refuse, { once: true }),
    ...inventoryTakes(asked),
  );
  const service = await setUpService();
  const { ledger, inventory, dispatcher } = service;
  const app = await buildApp({
    log: captureLog().log,
    serializerCompiler: strictSerializerCompiler,
    host: '127.0.0.1',
    ledger,
    targets: { 'welcome-package': inventory },
    canonicalId,
    onDue: dispatcher.wake,
    now: Date.now,
    ...options,
  });
  onTestFinished(() => app.close());
  await service.poller.runCycle();
  void dispatcher.run();
  await service.untilDone();
  const get = (url: string) => app.inject({ url });
  const post = (url: string, payload?: object) =>
    app.inject({ method: 'POST', url, ...(payload && { payload }) });
  return { ...service, app, get, post, asked };
}

const dead = (id: string) => ({
  leg: 'welcome-package',
  key: id,
  customer_id: id,
  status: 'dead',
  attempts: 1,
  next_attempt_at: null,
  last_error: '422 Unprocessable Entity: {"detail":"no"}',
  created_at: TIME,
  updated_at: TIME,
});

describe('GET /deliveries', () => {
  it('lists deliveries with the reason why they are not delivered', async () => {
    const { get } = await setUp();
    const response = await get('/deliveries');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual([dead(ALICE.id), dead(BOB.id)]);
    expect(response.headers.link).toBeUndefined();
    expect(Object.keys(response.json()[0])).toEqual(Object.keys(dead('')));
  });

  it('filters, also by an id in another form', async () => {
    const { get } = await setUp();
    const keysOf = async (query: string) =>
      (await get(`/deliveries?${query}`)).json().map(({ key }: { key: string }) => key);
    expect(await keysOf('status=dead')).toEqual([ALICE.id, BOB.id]);
    expect(await keysOf('status=delivered')).toEqual([]);
    expect(await keysOf('leg=welcome-package&unknown=x')).toEqual([ALICE.id, BOB.id]);
    expect(await keysOf('leg=other')).toEqual([]);
    expect(await keysOf(`customer_id=${BOB.id.toUpperCase()}`)).toEqual([BOB.id]);
  });

  it('leads from page to page by Link, and keeps the filter', async () => {
    const { get } = await setUp();
    const first = await get('/deliveries?limit=1&status=dead');
    expect(first.json()).toEqual([dead(ALICE.id)]);
    expect(first.headers.link).toBe('</deliveries?limit=1&status=dead&cursor=1>; rel="next"');
    const second = await get('/deliveries?limit=1&status=dead&cursor=1');
    expect(second.json()).toEqual([dead(BOB.id)]);
    expect(second.headers.link).toBeUndefined();
  });

  it.each(['limit=0', 'limit=1001', 'limit=x', 'limit=1.5', 'status=lost', 'cursor=-1', 'leg=%00'])(
    'refuses ?%s',
    async (query) => {
      const { get } = await setUp();
      const response = await get(`/deliveries?${query}`);
      expect(response.statusCode).toBe(422);
      expect(response.json().detail[0].loc).toEqual(['query', query.split('=')[0]]);
    },
  );
});

describe('GET /deliveries/{leg}/{key}', () => {
  it.each([ALICE.id, ALICE.id.toUpperCase()])('shows the whole history of %s', async (key) => {
    const { get } = await setUp();
    const response = await get(`/deliveries/welcome-package/${key}`);
    expect(response.statusCode).toBe(200);
    const nothing = { attempt: null, status_code: null, reason: null, next_attempt_at: null };
    expect(response.json()).toEqual({
      ...dead(ALICE.id),
      history: [
        { ...nothing, at: TIME, what: 'sighted' },
        {
          ...nothing,
          at: TIME,
          what: 'permanent',
          attempt: 1,
          status_code: 422,
          reason: '422 Unprocessable Entity: {"detail":"no"}',
        },
      ],
    });
  });

  it('finds a key of any form', async () => {
    const { get, ledger } = await setUp();
    const key = `${'ü/%?'.repeat(100)}`;
    await ledger.sight('welcome-package', [{ key, customerId: key, payload: {} }], { now: 0 });
    const response = await get(`/deliveries/welcome-package/${encodeURIComponent(key)}`);
    expect(response.json().key).toBe(key);
  });

  it('says 404 when there is none', async () => {
    const { get } = await setUp();
    for (const path of ['welcome-package/x', `other/${ALICE.id}`]) {
      const response = await get(`/deliveries/${path}`);
      expect(response.statusCode).toBe(404);
      expect(response.json()).toEqual({ detail: 'Not Found' });
    }
  });
});

describe('POST /deliveries/replay', () => {
  const verdicts = (...pairs: [string, string][]) =>
    pairs.map(([key, verdict]) => ({ leg: 'welcome-package', key, verdict }));

  it('sends what the target does not have, and marks as delivered what it has', async () => {
    const { post, asked, keysOf, untilDone, ledger } = await setUp();
    network.use(
      http.get(INVENTORY_URL, () => HttpResponse.json([packageRequest(BOB.id)]), { once: true }),
    );
    const response = await post('/deliveries/replay', {});
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      matched: 2,
      to_send: 1,
      already_delivered: 1,
      deliveries: verdicts([ALICE.id, 'to_send'], [BOB.id, 'already_delivered']),
    });
    await untilDone();
    expect(asked).toEqual([ALICE.id]);
    expect(await keysOf('delivered')).toEqual([ALICE.id, BOB.id]);
    const history = async (id: string) =>
      (await ledger.get('welcome-package', id))?.history.map(({ what }) => what);
    expect(await history(ALICE.id)).toEqual(['sighted', 'permanent', 'replayed', 'delivered']);
    expect(await history(BOB.id)).toEqual(['sighted', 'permanent', 'found']);
  });

  it('asks and changes nothing with dry_run', async () => {
    const { post, asked, keysOf } = await setUp();
    network.use(http.get(INVENTORY_URL, () => HttpResponse.json([packageRequest(BOB.id)])));
    const response = await post('/deliveries/replay', { dry_run: true });
    expect(response.json()).toMatchObject({ matched: 2, to_send: 1, already_delivered: 1 });
    expect(await keysOf('dead')).toEqual([ALICE.id, BOB.id]);
    expect(asked).toEqual([]);
  });

  it.each([
    [{ keys: [BOB.id.toUpperCase()] }, [BOB.id]],
    [{ customer_id: ALICE.id.toUpperCase() }, [ALICE.id]],
    [{ leg: 'other' }, []],
    [{ keys: [] }, []],
    [{ reason: '422 UNPROCESSABLE' }, [ALICE.id, BOB.id]],
    [{ reason: '500' }, []],
  ])('takes those that fit %j', async (filter, ids) => {
    const { post } = await setUp();
    const report = (await post('/deliveries/replay', { ...filter, dry_run: true })).json();
    expect(report.deliveries.map(({ key }: { key: string }) => key)).toEqual(ids);
  });

  it('takes the dead alone, and all of them without a body', async () => {
    const { post, untilDone } = await setUp();
    expect((await post('/deliveries/replay', { keys: [ALICE.id] })).json().matched).toBe(1);
    await untilDone();
    expect((await post('/deliveries/replay')).json().matched).toBe(1);
    await untilDone();
    expect((await post('/deliveries/replay')).json()).toEqual({
      matched: 0,
      to_send: 0,
      already_delivered: 0,
      deliveries: [],
    });
  });

  it('changes nothing when the target cannot be asked', async () => {
    const { post, keysOf } = await setUp();
    network.use(http.get(INVENTORY_URL, () => HttpResponse.json(null, { status: 500 })));
    const response = await post('/deliveries/replay', {});
    expect(response.statusCode).toBe(502);
    expect(response.json().detail).toContain('could not be asked: 500 Internal Server Error');
    expect(await keysOf('dead')).toEqual([ALICE.id, BOB.id]);
  });

  it.each([{ dryrun: true }, { dry_run: 'true' }, { keys: 'a' }, { keys: [7] }, []])(
    'refuses %j, and replays nothing',
    async (body) => {
      const { post, keysOf } = await setUp();
      expect((await post('/deliveries/replay', body)).statusCode).toBe(422);
      expect(await keysOf('dead')).toEqual([ALICE.id, BOB.id]);
    },
  );
});

describe('POST /deliveries/release', () => {
  it('lets go what is held, which is sent', async () => {
    const { post, ledger, asked, untilDone } = await setUp();
    const payload = { customer_id: 'c', package_type: 'welcome_package' };
    const held = { now: 0, surgeLimit: 0 };
    await ledger.sight('welcome-package', [{ key: 'c', customerId: 'c', payload }], held);
    expect((await post('/deliveries/release', { leg: 'other' })).json()).toEqual({ released: 0 });
    expect((await post('/deliveries/release')).json()).toEqual({ released: 1 });
    await untilDone();
    expect(asked).toEqual(['c']);
  });

  it('refuses what it does not know', async () => {
    const { post } = await setUp();
    expect((await post('/deliveries/release', { legs: 'x' })).statusCode).toBe(422);
  });
});

describe('the routes of deliveries', () => {
  const routes = [
    ['GET', '/deliveries'],
    ['GET', `/deliveries/welcome-package/${ALICE.id}`],
    ['POST', '/deliveries/replay'],
    ['POST', '/deliveries/release'],
  ] as const;

  it.each(routes)('ask for the token when there is one: %s %s', async (method, url) => {
    const { app, untilDone } = await setUp({ adminToken: 'a-token-of-mine' });
    const refused = await app.inject({ method, url });
    expect(refused.statusCode).toBe(401);
    const headers = { authorization: 'Bearer a-token-of-mine' };
    expect((await app.inject({ method, url, headers })).statusCode).toBe(200);
    await untilDone();
  });

  it.each(routes)(
    'are not for pages of other sites, and with a token for whoever has it: %s %s',
    async (method, url) => {
      for (const [adminToken, status] of [
        [undefined, 403],
        ['a-token-of-mine', 200],
      ] as const) {
        const { app } = await setUp({ adminToken });
        for (const header of [
          { origin: 'http://evil.example' },
          { 'sec-fetch-site': 'cross-site' },
          { host: 'evil.example' },
        ]) {
          const headers = { ...header, authorization: 'Bearer a-token-of-mine' };
          expect((await app.inject({ method, url, headers })).statusCode).toBe(status);
        }
      }
    },
  );

  it.each(routes)('say what is wrong when the ledger fails: %s %s', async (method, url) => {
    const { app, ledger } = await setUp();
    const { LedgerError } = await import('../src/delivery/ledger/ledger-error.ts');
    const fail = async () => {
      throw new LedgerError('full', 'The disk is full.');
    };
    Object.assign(ledger, { list: fail, get: fail, deadLetters: fail, release: fail });
    const response = await app.inject({ method, url });
    expect(response.statusCode).toBe(503);
    expect(response.json()).toEqual({ detail: 'The disk is full.' });
  });
});
