import { HttpResponse, http } from 'msw';
import { describe, expect, it, onTestFinished } from 'vitest';
import { replay } from '../src/delivery/audit/replay.ts';
import { createCircuitBreaker } from '../src/delivery/dispatch/circuit-breaker.ts';
import { createDispatcher } from '../src/delivery/dispatch/dispatcher.ts';
import { createGate } from '../src/delivery/dispatch/gate.ts';
import type { Outcome } from '../src/delivery/outcome.ts';
import type { Finding, Target } from '../src/delivery/target.ts';
import { WELCOME_PACKAGE } from '../src/welcome-package/item.ts';
import { ingestList, open } from './ledgers.ts';
import {
  captureLog,
  crmLists,
  INVENTORY_URL,
  mockNetwork,
  POLICY,
  packageRequest,
  pauseOf,
  setUpService,
} from './support.ts';

const network = mockNetwork();
const SETTLE_DELAYS_MS = [500, 2_000, 8_000];
const REASON =
  'the inventory lists 2 of the 12 that were delivered: was it reset, or is its list cut off?';

/**
 * An inventory with the packages of 12 customers. It lists the first `page` of them, and loses answers on
 * demand.
 */
async function setUp(options: { maxAttempts?: number } = {}) {
  const stored: string[] = [];
  const customers = Array.from({ length: 12 }, (_, i) => ({ id: `customer-${i + 10}` }));
  const inventory = {
    stored,
    /** How many package requests the inventory lists. */
    page: Number.POSITIVE_INFINITY,
    /** What is answered instead of a 201; `stores` says whether the request is stored before. */
    fault: undefined as undefined | { stores: boolean; status: number; body: object },
  };
  network.use(
    crmLists(customers),
    http.get(INVENTORY_URL, () =>
      HttpResponse.json(stored.slice(0, inventory.page).map((id) => packageRequest(id))),
    ),
    http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
      const { customer_id } = await request.json();
      const { fault } = inventory;
      if (!fault || fault.stores) stored.push(customer_id);
      if (fault) return HttpResponse.json(fault.body, { status: fault.status });
      return HttpResponse.json(packageRequest(customer_id), { status: 201 });
    }),
  );
  const service = await setUpService(options);
  await service.poller.runCycle();
  void service.dispatcher.run();
  await service.untilDone();

  const historyOf = async (key: string) =>
    (await service.ledger.get(WELCOME_PACKAGE, key))?.history.map(({ what }) => what);
  const find = async (key: string) => (await service.ledger.get(WELCOME_PACKAGE, key))?.delivery;
  /** The CRM shows one more customer; then the reads of the target that the delivery needs are made. */
  async function ingestAndSettle(id: string, until: string): Promise<void> {
    network.use(crmLists([...customers, { id }]));
    await service.poller.runCycle();
    await service.until(async () => (await find(id))?.status === 'unknown');
    inventory.fault = undefined;
    for (const [reads, ms] of SETTLE_DELAYS_MS.entries()) {
      await service.until(async () => (await historyOf(id))?.length === 2 + reads);
      service.advance(ms);
    }
    await service.until(async () => (await find(id))?.status === until);
  }
  return { ...service, inventory, historyOf, find, ingestAndSettle };
}

const LOST = { status: 502, body: {} };

it('a list that lacks what was delivered sends nothing again: what it was to settle is held', async () => {
  const service = await setUp();
  const { inventory, find, historyOf, ingestAndSettle, messages, ledger } = service;
  Object.assign(inventory, { page: 2, fault: { ...LOST, stores: true } });
  await ingestAndSettle('late', 'held');
  expect(inventory.stored.filter((id) => id === 'late')).toHaveLength(1);
  expect(await find('late')).toMatchObject({ next_attempt_at: null, last_error: REASON });
  const whats = ['ingested', 'unknown', 'not_found', 'not_found', 'held'];
  expect(await historyOf('late')).toEqual(whats);

  inventory.fault = { ...LOST, stores: true };
  await ingestAndSettle('later', 'held');
  const said = messages('error').filter((message) => message.includes(REASON));
  expect(said).toEqual([
    `Holding back 1 of welcome-package, each with an attempt of unknown outcome (late): ${REASON} POST /deliveries/release has them looked up once more, and sent if they are not found.`,
  ]);
  expect(messages('info')).toContain(
    'Holding back 1 of welcome-package, each with an attempt of unknown outcome (later), for the reason given before.',
  );

  // The list is repaired before the release, so nothing is doubled.
  inventory.page = Number.POSITIVE_INFINITY;
  expect(await ledger.release({ flow: WELCOME_PACKAGE }, Date.now())).toBe(2);
  service.advance(0);
  await service.untilDone();
  expect((await historyOf('late'))?.slice(whats.length)).toEqual(['released', 'found']);
  expect(inventory.stored).toHaveLength(14);
});

it('what is held because of such a list is sent when it is released, whole or not', async () => {
  const service = await setUp({ maxAttempts: 1 });
  const { inventory, find, historyOf, ingestAndSettle, ledger } = service;
  Object.assign(inventory, { page: 2, fault: { ...LOST, stores: false } });
  await ingestAndSettle('late', 'held');
  expect(await ledger.release({}, Date.now())).toBe(1);
  service.advance(0);
  await service.untilDone();
  expect((await historyOf('late'))?.slice(-3)).toEqual(['released', 'not_found', 'delivered']);
  expect(await find('late')).toMatchObject({ status: 'delivered', attempts: 1 });
  expect(inventory.stored.filter((id) => id === 'late')).toHaveLength(1);
});

it('a whole list sends again, whatever else it lists, and however often', async () => {
  const service = await setUp();
  const { inventory, ingestAndSettle } = service;
  inventory.stored.unshift('stranger', ...inventory.stored);
  inventory.fault = { ...LOST, stores: false };
  await ingestAndSettle('late', 'delivered');
  expect(inventory.stored.filter((id) => id === 'late')).toHaveLength(1);
});

it('strangers in a list do not stand for what was delivered', async () => {
  const service = await setUp();
  const { inventory, find, ingestAndSettle } = service;
  inventory.stored.unshift(...Array.from({ length: 50 }, (_, i) => `stranger-${i}`));
  Object.assign(inventory, { page: 52, fault: { ...LOST, stores: true } });
  await ingestAndSettle('late', 'held');
  expect((await find('late'))?.last_error).toBe(REASON);
});

it('dead letters are not replayed on the word of such a list, unless a person vouches for it', async () => {
  const service = await setUp();
  const { inventory, ledger, flow, keysOf } = service;
  inventory.fault = { status: 404, body: {}, stores: false };
  network.use(crmLists([{ id: 'late' }]));
  await service.poller.runCycle();
  await service.until(async () => (await keysOf('dead')).length === 1);
  inventory.fault = undefined;
  inventory.page = 2;
  const options = { ledger, flows: [flow], filter: {}, now: Date.now };
  for (const dryRun of [true, false]) {
    await expect(replay({ ...options, dryRun })).rejects.toThrow(
      REASON.slice('the inventory'.length),
    );
  }
  expect(await keysOf('dead')).toEqual(['late']);
  expect(await replay({ ...options, dryRun: false, trustList: true })).toMatchObject({
    to_send: 1,
  });
  service.advance(0);
  await service.untilDone();
  expect(inventory.stored).toContain('late');
});

it.each([400, 409, 422])(
  'a %d that says that it exists already is looked up once: found, it is delivered',
  async (status) => {
    const service = await setUp();
    const { inventory, historyOf, poller, messages } = service;
    inventory.fault = { status, body: { detail: 'already exists' }, stores: true };
    network.use(crmLists([{ id: 'late' }]));
    await poller.runCycle();
    await service.until(async () => (await historyOf('late'))?.at(-1) === 'unknown');
    service.advance(500);
    await service.untilDone();
    expect(await historyOf('late')).toEqual(['ingested', 'unknown', 'found']);
    expect(messages('info')).toContain(
      'The inventory has welcome-package/late as request-of-late: an attempt of unknown outcome is settled.',
    );
  },
);

it('one that is not found is dead at once, with the reason of the refusal; nobody else is held up', async () => {
  const service = await setUp();
  const { inventory, historyOf, find, poller, breaker } = service;
  inventory.fault = { status: 409, body: { detail: 'already exists' }, stores: false };
  network.use(crmLists(Array.from({ length: 9 }, (_, i) => ({ id: `late-${i}` }))));
  await poller.runCycle();
  await service.until(async () => (await service.keysOf('unknown')).length === 9);
  expect(breaker.state()).toBe('closed');
  service.advance(500);
  await service.untilDone();
  expect(await historyOf('late-8')).toEqual(['ingested', 'unknown', 'not_found']);
  expect(await find('late-8')).toMatchObject({
    ...{ status: 'dead', attempts: 1 },
    last_error: '409 Conflict: {"detail":"already exists"}',
  });
});

it('what settling found is in the log, for each delivery', async () => {
  const service = await setUp();
  service.inventory.fault = { ...LOST, stores: false };
  await service.ingestAndSettle('late', 'delivered');
  const name =
    'The inventory does not have welcome-package/late, of which an attempt is of unknown outcome';
  expect(service.messages('info').filter((message) => message.startsWith(name))).toEqual([
    `${name}: asking once more.`,
    `${name}: asking once more.`,
    `${name}: sending it again.`,
  ]);
});

it('a list that cannot be read names the first few of those who wait for it', async () => {
  const service = await setUp();
  service.inventory.fault = { ...LOST, stores: false };
  network.use(
    crmLists(['a', 'b', 'c', 'd'].map((id) => ({ id }))),
    http.get(INVENTORY_URL, () => new HttpResponse(null, { status: 500 })),
  );
  await service.poller.runCycle();
  await service.until(async () => (await service.keysOf('unknown')).length === 4);
  service.advance(500);
  await service.untilLogged(
    'Could not ask the inventory what became of 4 attempts (a, b, c and 1 more): 500',
  );
});

describe('a target that nobody can ask', () => {
  const A_MINUTE_AGO = Date.now() - 60_000;

  /** One delivery to a target that loses the answer to the first attempt. */
  async function setUpMute(isRepeatable: boolean, more: Partial<Target> = {}) {
    const { log } = captureLog();
    const ledger = await open({ kind: 'sqlite', path: ':memory:' });
    const outcomes: Outcome[] = [{ kind: 'unknown', reason: 'reset' }];
    const sent: string[] = [];
    const monotonicNow = () => performance.now();
    const breaker = createCircuitBreaker({ target: 'archive', log, monotonicNow });
    const dispatcher = createDispatcher({
      flow: {
        name: 'a-flow',
        policy: { ...POLICY, supersedes: more.list !== undefined },
        target: {
          ...more,
          ...{ name: 'archive', isRepeatable, lookUpAfterMs: [] },
          async send(batch) {
            for (const { key } of batch) sent.push(key);
            const outcome = outcomes.shift() ?? { kind: 'delivered', targetId: 'file 7' };
            return { outcomes: batch.map(() => outcome) };
          },
        },
      },
      gate: createGate({ breaker, pause: pauseOf('archive', log), now: Date.now }),
      ...{ ledger, log, now: Date.now, monotonicNow, random: () => 0, onEvent() {} },
    });
    onTestFinished(() => dispatcher.stop());
    const items = [{ key: 'a', lane: 'a', payload: '{}' }];
    await ingestList(ledger, 'a-flow', items, { now: A_MINUTE_AGO });
    const find = async () => (await ledger.get('a-flow', 'a'))?.delivery;
    const untilIs = (status: string) =>
      expect.poll(async () => (await find())?.status).toBe(status);
    const historyOf = async () =>
      (await ledger.get('a-flow', 'a'))?.history.map(({ what }) => what);
    return { ledger, dispatcher, sent, outcomes, find, untilIs, historyOf };
  }

  it('is not sent again what it may have, until that is released', async () => {
    const { ledger, dispatcher, sent, find, untilIs, historyOf } = await setUpMute(false);
    void dispatcher.run();
    await untilIs('held');
    expect((await find())?.last_error).toBe('reset; the archive cannot be asked about it');
    expect(sent).toEqual(['a']);
    expect(await ledger.release({}, Date.now())).toBe(1);
    dispatcher.wake();
    await untilIs('delivered');
    expect(sent).toEqual(['a', 'a']);
    expect(await historyOf()).toEqual(['ingested', 'unknown', 'released', 'delivered']);
    expect(await find()).toMatchObject({ attempts: 1, target_id: 'file 7' });
  });

  it('is not asked by a list of records, which does not say which state they have', async () => {
    const { sent, dispatcher, find, untilIs } = await setUpMute(false, {
      async *list() {
        yield { identity: 'the record', targetId: 'the record', content: {} };
      },
    });
    void dispatcher.run();
    await untilIs('held');
    expect((await find())?.last_error).toBe('reset; the archive cannot be asked about it');
    expect(sent).toEqual(['a']);
  });

  it('is asked by its look-up where its list is of records, also by a replay', async () => {
    const findings = new Map<string, Finding>();
    const target = { lookUp: async () => findings, async *list() {} };
    const { ledger, sent, outcomes, dispatcher, untilIs } = await setUpMute(false, target);
    outcomes.splice(0, 1, { kind: 'permanent', reason: '422' });
    void dispatcher.run();
    await untilIs('dead');
    findings.set('a', { kind: 'applied', targetId: 'file 7' });
    const flow = {
      ...{ name: 'a-flow', policy: { ...POLICY, supersedes: true } },
      target: {
        name: 'archive',
        isRepeatable: false,
        lookUpAfterMs: [],
        ...target,
        send: async () => ({ outcomes: [] }),
      },
    };
    const report = await replay({
      ledger,
      flows: [flow],
      filter: {},
      dryRun: false,
      now: Date.now,
    });
    expect(report).toMatchObject({ matched: 1, already_delivered: 1, to_send: 0 });
    await untilIs('delivered');
    expect(sent).toEqual(['a']);
  });

  it('is not sent again what a lost worker may have sent, until that is released', async () => {
    const { ledger, dispatcher, sent, outcomes, find, untilIs, historyOf } = await setUpMute(false);
    outcomes.length = 0;
    // A worker claimed it, and is gone.
    const claims = await ledger.claim('a-flow', { limit: 1, now: A_MINUTE_AGO, order: 'lane' });
    expect(claims).toHaveLength(1);
    void dispatcher.run();
    await untilIs('held');
    expect((await find())?.last_error).toMatch('the archive cannot be asked about it');
    expect(sent).toEqual([]);
    await ledger.release({}, Date.now());
    dispatcher.wake();
    await untilIs('delivered');
    expect(sent).toEqual(['a']);
    expect(await historyOf()).toEqual([
      ...['ingested', 'lease_lost', 'held', 'released', 'delivered'],
    ]);
  });

  it('is sent again at once what it may have, if that does no harm', async () => {
    const { dispatcher, sent, untilIs, historyOf } = await setUpMute(true);
    void dispatcher.run();
    await untilIs('delivered');
    expect(sent).toEqual(['a', 'a']);
    expect(await historyOf()).toEqual(['ingested', 'unknown', 'delivered']);
  });
});
