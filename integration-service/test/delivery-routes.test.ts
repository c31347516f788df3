import { HttpResponse, http } from 'msw';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AppOptions, buildApp } from '../src/app.ts';
import { ingestList } from './ledgers.ts';
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

async function setUpRoutes(options: Partial<AppOptions> & Pick<AppOptions, 'ledger'>) {
  const app = await buildApp({
    log: captureLog().log,
    serializerCompiler: strictSerializerCompiler,
    host: '127.0.0.1',
    flows: [],
    flowNames: ['welcome-package', 'other'],
    now: Date.now,
    ...options,
  });
  onTestFinished(() => app.close());
  return app;
}

/** The service's routes, with Alice and Bob refused by the inventory. */
async function setUp(options: Partial<AppOptions> = {}) {
  const asked: string[] = [];
  network.use(
    crmLists([ALICE, BOB]),
    http.post(INVENTORY_URL, refuse, { once: true }),
    http.post(INVENTORY_URL, refuse, { once: true }),
    ...inventoryTakes(asked),
  );
  const service = await setUpService();
  const { ledger, open, dispatcher } = service;
  const app = await setUpRoutes({ ledger, flows: [open], ...options });
  await service.poller.runCycle();
  void dispatcher.run();
  await service.untilDone();
  const get = (url: string) => app.inject({ url });
  const post = (url: string, payload?: object) =>
    app.inject({ method: 'POST', url, ...(payload && { payload }) });
  return { ...service, app, get, post, asked };
}

const dead = (id: string) => ({
  flow: 'welcome-package',
  key: id,
  lane: id,
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
    expect(await keysOf('status=delivered,dead')).toEqual([ALICE.id, BOB.id]);
    expect(await keysOf('status=delivered&status=held')).toEqual([]);
    expect(await keysOf('flow=welcome-package')).toEqual([ALICE.id, BOB.id]);
    expect(await keysOf('order=desc')).toEqual([BOB.id, ALICE.id]);
    expect(await keysOf('from=2026-01-01&to=2126-01-01T00:00:00%2B02:00')).toHaveLength(2);
    expect(await keysOf('to=2026-01-01T00:00:00Z')).toEqual([]);
    expect(await keysOf('flow=other')).toEqual([]);
    expect(await keysOf(`lane=${BOB.id.toUpperCase()}`)).toEqual([BOB.id]);
  });

  it('refuses a flow that does not exist, and names those that do', async () => {
    const { get } = await setUp();
    const response = await get('/deliveries?flow=nope');
    expect(response.statusCode).toBe(422);
    expect(response.json().detail).toEqual([
      expect.objectContaining({
        loc: ['query', 'flow'],
        msg: 'Input should be one of welcome-package, other',
      }),
    ]);
  });

  it('leads from page to page by Link, and keeps the filter', async () => {
    const { get } = await setUp();
    const first = await get('/deliveries?limit=1&status=dead');
    expect(first.json()).toEqual([dead(ALICE.id)]);
    expect(first.headers.link).toBe('<?limit=1&status=dead&cursor=1>; rel="next"');
    expect(first.headers['x-total-count']).toBe('2');
    const second = await get('/deliveries?limit=1&status=dead&cursor=1');
    expect(second.json()).toEqual([dead(BOB.id)]);
    expect(second.headers.link).toBeUndefined();
  });

  it('leads from the newest to the oldest, too', async () => {
    const { get } = await setUp();
    const first = await get('/deliveries?limit=1&order=desc');
    expect(first.json()).toEqual([dead(BOB.id)]);
    expect(first.headers.link).toBe('<?limit=1&order=desc&cursor=2>; rel="next"');
    const second = await get('/deliveries?limit=1&order=desc&cursor=2');
    expect(second.json()).toEqual([dead(ALICE.id)]);
    expect(second.headers.link).toBeUndefined();
  });

  it('counts to 10,000', async () => {
    const { get, ledger } = await setUp();
    const items = Array.from({ length: 9_999 }, (_, index) => {
      return { key: `${index}`, lane: `${index}`, payload: '{}' };
    });
    const total = async () => (await get('/deliveries?limit=1')).headers['x-total-count'];
    await ingestList(ledger, 'other-flow', items.slice(0, 9_998), { now: 0 });
    expect(await total()).toBe('10000');
    await ingestList(ledger, 'other-flow', items, { now: 0 });
    expect(await total()).toBe('10000+');
  });

  it('counts the attempts that the history lists, with the time when the next can be', async () => {
    const { app, get, post, ledger, open, untilDone } = await setUp();
    network.use(http.post(INVENTORY_URL, refuse));
    await post('/deliveries/replay', { keys: [ALICE.id] });
    await untilDone();
    const [alice] = (await get('/deliveries')).json();
    const { history } = (await get(`/deliveries/welcome-package/${ALICE.id}`)).json();
    const attempts = history.map(({ attempt }: { attempt: number | null }) => attempt);
    expect(attempts).toEqual([null, 1, null, 2]);
    expect(alice.attempts).toBe(2);

    await ingestList(ledger, 'other', [{ key: 'k', lane: 'k', payload: '{}' }], { now: 1_000 });
    const flow = { ...open.flow, name: 'other' };
    const blocked = await setUpRoutes({
      ...{ ledger, flows: [{ ...open, flow, blockedUntil: () => 90_000 }] },
    });
    const [waiting] = (await blocked.inject('/deliveries?flow=other')).json();
    expect(waiting).toMatchObject({ attempts: 0, next_attempt_at: '1970-01-01T00:01:30.000Z' });
    await ledger.claim('other', { order: 'lane', limit: 1, now: 2_000 });
    const [sending] = (await app.inject('/deliveries?flow=other')).json();
    expect(sending).toMatchObject({ status: 'sending', attempts: 1, next_attempt_at: null });
  });

  it('names the parameters that it knows when there is another', async () => {
    const { get, app } = await setUp();
    const response = await get('/deliveries?state=dead&status=dead');
    expect(response.statusCode).toBe(422);
    const known = 'status, flow, lane, from, to, order, limit, cursor';
    expect(response.json()).toEqual({
      detail: [
        {
          type: 'extra_forbidden',
          loc: ['query', 'state'],
          msg: `This is not known here. Known are: ${known}`,
          input: 'dead',
        },
      ],
    });
    for (const [method, path] of [
      ['GET', `/deliveries/welcome-package/${ALICE.id}`],
      ['POST', '/deliveries/replay'],
      ['POST', '/deliveries/release'],
    ] as const) {
      const payload = method === 'POST' ? { payload: {} } : {};
      const { statusCode } = await app.inject({ method, url: `${path}?dry_run=true`, ...payload });
      expect(statusCode).toBe(422);
    }
  });

  it.each([
    ...[
      'limit=0',
      'limit=1001',
      'limit=x',
      'limit=1.5',
      'status=lost',
      'status=dead,',
      'cursor=-1',
    ],
    ...['flow=%00', 'order=newest', 'from=yesterday', 'to=2026-11-28T10:00:00'],
  ])('refuses ?%s', async (query) => {
    const { get } = await setUp();
    const response = await get(`/deliveries?${query}`);
    expect(response.statusCode).toBe(422);
    expect(response.json().detail[0].loc).toEqual(['query', query.split('=')[0]]);
  });
});

describe('GET /deliveries/{flow}/{key}', () => {
  it.each([ALICE.id, ALICE.id.toUpperCase()])('shows the whole history of %s', async (key) => {
    const { get } = await setUp();
    const response = await get(`/deliveries/welcome-package/${key}`);
    expect(response.statusCode).toBe(200);
    const nothing = { attempt: null, status_code: null, reason: null, next_attempt_at: null };
    expect(response.json()).toEqual({
      ...dead(ALICE.id),
      history: [
        { ...nothing, at: TIME, what: 'ingested' },
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
    await ingestList(ledger, 'welcome-package', [{ key, lane: key, payload: JSON.stringify({}) }], {
      now: 0,
    });
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
    pairs.map(([key, verdict]) => ({ flow: 'welcome-package', key, verdict }));

  it('sends what the target does not have, and marks as delivered what it has', async () => {
    const { post, asked, keysOf, untilDone, ledger } = await setUp();
    network.use(
      http.get(INVENTORY_URL, () => HttpResponse.json([packageRequest(BOB.id)]), { once: true }),
    );
    const response = await post('/deliveries/replay', { all: true });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      matched: 2,
      to_send: 1,
      already_delivered: 1,
      no_longer_dead: 0,
      deliveries: verdicts([ALICE.id, 'to_send'], [BOB.id, 'already_delivered']),
    });
    await untilDone();
    expect(asked).toEqual([ALICE.id]);
    expect(await keysOf('delivered')).toEqual([ALICE.id, BOB.id]);
    const history = async (id: string) =>
      (await ledger.get('welcome-package', id))?.history.map(({ what }) => what);
    expect(await history(ALICE.id)).toEqual(['ingested', 'permanent', 'replayed', 'delivered']);
    expect(await history(BOB.id)).toEqual(['ingested', 'permanent', 'found']);
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
    [{ lane: ALICE.id.toUpperCase() }, [ALICE.id]],
    [{ flow: 'other' }, []],
    [{ keys: [] }, []],
    [{ reason: '422 UNPROCESSABLE' }, [ALICE.id, BOB.id]],
    [{ reason: '500' }, []],
  ])('takes those that fit %j', async (filter, ids) => {
    const { post } = await setUp();
    const report = (await post('/deliveries/replay', { ...filter, dry_run: true })).json();
    expect(report.deliveries.map(({ key }: { key: string }) => key)).toEqual(ids);
  });

  it('takes the dead alone', async () => {
    const { post, untilDone } = await setUp();
    expect((await post('/deliveries/replay', { keys: [ALICE.id] })).json().matched).toBe(1);
    await untilDone();
    expect((await post('/deliveries/replay', { all: true })).json().matched).toBe(1);
    await untilDone();
    expect((await post('/deliveries/replay', { all: true })).json()).toEqual({
      matched: 0,
      to_send: 0,
      already_delivered: 0,
      no_longer_dead: 0,
      deliveries: [],
    });
  });

  it.each([undefined, {}, { all: false }, { all: true, flow: 'welcome-package' }])(
    'takes none with %j: it needs a filter, or all',
    async (body) => {
      const { post, keysOf } = await setUp();
      expect((await post('/deliveries/replay', body)).statusCode).toBe(422);
      expect(await keysOf('dead')).toEqual([ALICE.id, BOB.id]);
    },
  );

  it('says of several at the same time what each of them moved', async () => {
    const { post, ledger } = await setUp();
    network.use(http.post(INVENTORY_URL, refuse));
    const reports = await Promise.all(
      Array.from({ length: 8 }, async () =>
        (await post('/deliveries/replay', { all: true })).json(),
      ),
    );
    const sum = (field: string) => reports.reduce((total, report) => total + report[field], 0);
    const replays = (await ledger.get('welcome-package', ALICE.id))?.history.filter(
      ({ what }) => what === 'replayed',
    );
    expect(sum('to_send')).toBe(2 * (replays?.length ?? 0));
    expect(sum('matched')).toBe(sum('to_send') + sum('no_longer_dead'));
  });

  it('changes nothing when the target cannot be asked', async () => {
    const { post, keysOf } = await setUp();
    network.use(http.get(INVENTORY_URL, () => HttpResponse.json(null, { status: 500 })));
    const response = await post('/deliveries/replay', { all: true });
    expect(response.statusCode).toBe(502);
    expect(response.json().detail).toContain('gave no usable answer: 500 Internal Server Error');
    expect(await keysOf('dead')).toEqual([ALICE.id, BOB.id]);
  });

  it.each([
    ...['flow', 'lane', 'reason'].map((name) => ({ [name]: '' })),
    { keys: [''] },
    { reason: 'a'.repeat(60_000) },
    { flow: 'welcome-packge' },
  ])(
    'refuses a filter that is empty, too long or of no flow, and replays nothing: %.40j',
    async (body) => {
      const { post, keysOf } = await setUp();
      for (const route of ['replay', 'release']) {
        expect((await post(`/deliveries/${route}`, body)).statusCode).toBe(422);
      }
      expect(await keysOf('dead')).toEqual([ALICE.id, BOB.id]);
    },
  );

  it.each([{ all: true, dryrun: true }, { dry_run: 'true' }, { keys: 'a' }, { keys: [7] }, []])(
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
    const payload = JSON.stringify({ customer_id: 'c', package_type: 'welcome_package' });
    const held = { now: 0, surgeLimit: 0 };
    await ingestList(ledger, 'welcome-package', [{ key: 'c', lane: 'c', payload }], held);
    for (const filter of [{ flow: 'other' }, { keys: ['d'] }, { reason: 'reset' }]) {
      expect((await post('/deliveries/release', filter)).json()).toEqual({ released: 0 });
    }
    for (const body of [undefined, {}, { all: false }, { all: true, flow: 'welcome-package' }]) {
      expect((await post('/deliveries/release', body)).statusCode).toBe(422);
    }
    expect((await post('/deliveries/release', { all: true })).json()).toEqual({ released: 1 });
    await untilDone();
    expect(asked).toEqual(['c']);
  });

  it('refuses what it does not know', async () => {
    const { post } = await setUp();
    expect((await post('/deliveries/release', { all: true, flows: 'x' })).statusCode).toBe(422);
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
    const all = { method, url, headers, ...(method === 'POST' && { payload: { all: true } }) };
    expect((await app.inject(all)).statusCode).toBe(200);
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
          const payload = method === 'POST' && { payload: { all: true } };
          const answer = await app.inject({ method, url, headers, ...payload });
          expect(answer.statusCode).toBe(status);
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
    Object.assign(ledger, { list: fail, get: fail, release: fail });
    const payload = method === 'POST' && { payload: { all: true } };
    const response = await app.inject({ method, url, ...payload });
    expect(response.statusCode).toBe(503);
    expect(response.json()).toEqual({ detail: 'The disk is full.' });
  });
});
