import { HttpResponse, http } from 'msw';
import { describe, expect, it, vi } from 'vitest';
import { ingestList, LEDGER_KINDS, newLocation } from './ledgers.ts';
import {
  ALICE,
  BOB,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  type ServiceTestOptions,
  setUpService,
} from './support.ts';

const network = mockNetwork();
// Long enough for a busy machine.
vi.setConfig({ testTimeout: 60_000 });

type Service = Awaited<ReturnType<typeof setUpService>>;

const tooMany = (status = 429, retryAfter?: string) =>
  new HttpResponse(null, {
    status,
    headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter },
  });

async function start(options: ServiceTestOptions = {}) {
  const service = await setUpService(options);
  await service.poller.runCycle();
  void service.dispatcher.run();
  return service;
}

const customers = (count: number, prefix = 'customer') =>
  Array.from({ length: count }, (_, i) => ({ id: `${prefix}-${i}` }));

const whatOf = async ({ ledger }: Service, id: string) =>
  ((await ledger.get('welcome-package', id))?.history ?? []).map(({ what }) => what);

/** A call under way would lose its lease when time passes. */
const nothingIsUnderWay = async ({ keysOf }: Service) => (await keysOf('sending')).length === 0;

/** Lets pauses end one after the other until the ledger is as the test wants it. */
async function sitOut(service: Service, isOver: () => Promise<boolean>, onPause = () => {}) {
  let pauses = 0;
  for (;;) {
    let isPaused = false;
    await service.until(async () => {
      isPaused = service.gate.waitMs() > 0 && (await nothingIsUnderWay(service));
      return isPaused || (await isOver());
    });
    if (!isPaused) return pauses;
    pauses += 1;
    onPause();
    service.advance(service.gate.waitMs());
  }
}

/** Sights three customers and waits until they are delivered. */
async function deliver(service: Service, name: string) {
  const items = customers(3, name).map(({ id }) => ({
    ...{ key: id, lane: id, payload: JSON.stringify({ customer_id: id }) },
  }));
  await ingestList(service.ledger, 'welcome-package', items, { now: Date.now() });
  service.dispatcher.wake();
  await service.until(async () => {
    const delivered = await service.keysOf('delivered');
    return items.every(({ key }) => delivered.includes(key));
  });
}

describe('an inventory that asks for fewer calls', () => {
  it.each([
    ['429', () => tooMany(429, '120')],
    ['503 with Retry-After', () => tooMany(503, '120')],
  ])('is left alone for as long as it says, by all deliveries, at no cost: %s', async (_, busy) => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.post(INVENTORY_URL, busy, { once: true }),
      ...inventoryTakes(asked),
    );
    const service = await start({ concurrency: 1 });
    await service.untilLogged('it is not called until');
    await service.until(() => nothingIsUnderWay(service));
    const metric = await service.metric('system_pause_seconds{system="inventory"}');
    expect(Math.round(metric)).toBe(120);
    service.advance(119_000);
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    expect(asked).toEqual([]);
    service.advance(1_000);
    await service.untilDone();
    expect(asked.sort()).toEqual([BOB.id, ALICE.id]);
    expect(await whatOf(service, ALICE.id)).toEqual(['ingested', 'throttled', 'delivered']);
    expect((await service.ledger.list({}, 2)).map(({ attempts }) => attempts)).toEqual([1, 1]);
    expect(
      await service.metric('delivery_attempts_total{flow="welcome-package",outcome="throttled"}'),
    ).toBe(1);
    expect(await service.metric('system_pause_seconds{system="inventory"}')).toBe(0);
  });

  it('and takes two a second is served near that rate: no attempt lost, no breaker open', async () => {
    let [tokens, calls, underWay] = [2, 0, 0];
    network.use(
      crmLists(customers(60)),
      http.post(INVENTORY_URL, () => {
        calls += 1;
        tokens -= 1;
        return tokens < 0 ? tooMany(429, '1') : undefined;
      }),
      ...inventoryTakes([]),
    );
    const service = await start({
      onEvent({ kind }) {
        if (kind === 'sending') underWay += 1;
        if (kind === 'received') underWay -= 1;
      },
    });
    const pending = () => service.ledger.list({ status: 'pending' }, 100);
    let [seconds, isOver] = [0, false];
    while (!isOver) {
      await service.until(async () => {
        isOver = (await service.keysOf('delivered')).length === 60;
        const isWaiting = (await pending()).every(
          (each) => Number(each.next_attempt_at) > service.now(),
        );
        const isStill = underWay === 0 && (await nothingIsUnderWay(service));
        return isOver || (isStill && (service.gate.waitMs() > 0 || isWaiting));
      });
      seconds += 1;
      tokens = 2;
      service.advance(1_000);
    }
    const all = await service.ledger.list({}, 100);
    expect(new Set(all.map(({ attempts }) => attempts))).toEqual(new Set([1]));
    expect(seconds).toBeLessThan(40);
    // A few too many per second, plus as many at first as there are connections.
    expect(calls).toBeLessThan(200);
    expect(service.messages('error').filter((line) => line.includes('in a row'))).toEqual([]);
    expect(service.messages().filter((line) => line.includes('asks for fewer calls'))).toHaveLength(
      1,
    );
  });

  it('and does not say for how long waits 1 s, doubled until it takes one', async () => {
    let busy = 8;
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => (busy-- > 0 ? tooMany() : undefined)),
      ...inventoryTakes([]),
    );
    const service = await start();
    const waits: number[] = [];
    await sitOut(
      service,
      async () => (await service.keysOf('delivered')).length === 1,
      () => waits.push(Math.round(service.gate.waitMs() / 1_000)),
    );
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    service.pauses.inventory.begin('429');
    expect(Math.round(service.gate.waitMs() / 1_000)).toBe(1);
  });

  it('when it is asked what became of an attempt is left alone, too', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => new HttpResponse(null, { status: 500 }), { once: true }),
      http.get(INVENTORY_URL, () => HttpResponse.json([]), { once: true }),
      http.get(INVENTORY_URL, () => tooMany(429, '60'), { once: true }),
      ...inventoryTakes(asked),
    );
    const service = await start();
    await service.until(async () => (await whatOf(service, ALICE.id)).includes('unknown'));
    service.advance(500);
    await service.untilLogged('The inventory asks for fewer calls (429 Too Many Requests)');
    expect(service.gate.waitMs()).toBeGreaterThan(0);
    expect(service.breaker.state()).toBe('closed');
  });
});

describe('a read that is always answered 429 while requests are taken', () => {
  it('is repeated less and less often, and stops nobody', async () => {
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => new HttpResponse(null, { status: 500 }), { once: true }),
      http.get(INVENTORY_URL, () => HttpResponse.json([]), { once: true }),
      http.get(INVENTORY_URL, () => tooMany()),
      ...inventoryTakes([]),
    );
    const service = await start();
    await service.until(async () => (await whatOf(service, ALICE.id)).includes('unknown'));
    let longestMs = 0;
    // A round in which other deliveries are faster contains no read.
    for (let round = 0; longestMs <= 15_000 && round < 50; round++) {
      await deliver(service, `round-${round}`);
      await service.until(() => nothingIsUnderWay(service));
      const [row] = await service.ledger.list({ lane: ALICE.id }, 1);
      const waitMs = Number(row?.next_attempt_at) - service.now();
      longestMs = Math.max(longestMs, waitMs);
      service.advance(Math.max(waitMs, service.gate.waitMs(), 0) + 1);
    }
    expect(longestMs).toBeGreaterThan(15_000);
  });
});

describe('a customer whose request is always answered 429', () => {
  it('stops the others once, and is dead after MAX_ATTEMPTS', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE]),
      http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
        const { customer_id } = await request.clone().json();
        return customer_id === ALICE.id ? tooMany(429, '3600') : undefined;
      }),
      ...inventoryTakes(asked),
    );
    const service = await start({ maxAttempts: 3 });
    const isPaused = async () => service.gate.waitMs() > 0 && (await nothingIsUnderWay(service));
    await service.until(isPaused);
    service.advance(3_600_000);
    let [pauses, rounds] = [1, 0];
    while ((await service.keysOf('dead')).length === 0 && rounds < 10) {
      rounds += 1;
      await deliver(service, `round-${rounds}`);
      if (service.gate.waitMs() > 0) pauses += 1;
      await service.until(() => nothingIsUnderWay(service));
      service.advance(3_600_000);
    }
    expect(pauses).toBe(1);
    // Time may have passed while the delivery was claimed.
    const whats = (await whatOf(service, ALICE.id)).filter((what) => what !== 'aborted');
    expect(whats).toEqual([
      'ingested',
      ...Array(2).fill('throttled'),
      ...Array(3).fill('transient'),
    ]);
  });
});

describe.each(LEDGER_KINDS)('a pause in a ledger of %s', (kind) => {
  it('holds for other replicas, and after a restart', async () => {
    const location = await newLocation(kind);
    const asked: string[] = [];
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => tooMany(429, '60'), { once: true }),
      ...inventoryTakes(asked),
    );
    const first = await start({ ledger: location });
    await first.until(async () => (await whatOf(first, ALICE.id)).includes('throttled'));
    await first.stop();
    const second = await setUpService({ ledger: location });
    const item = { key: BOB.id, lane: BOB.id, payload: JSON.stringify({ customer_id: BOB.id }) };
    await ingestList(second.ledger, 'welcome-package', [item], { now: Date.now() });
    void second.dispatcher.run();
    await second.untilLogged('The inventory asks for fewer calls (as the ledger says)');
    expect(asked).toEqual([]);
    expect(await second.keysOf('pending')).toEqual([ALICE.id, BOB.id]);
    second.advance(60_000);
    await second.untilDone();
    expect(asked).toHaveLength(2);
  });

  it('is at most as long as it was meant to be, whatever the clocks say', async () => {
    const { ledger, pauses } = await setUpService({ ledger: await newLocation(kind) });
    const { inventory } = pauses;
    const inAnHour = Date.now() + 3_600_000;
    await ledger.savePause('inventory', { pausedAt: inAnHour, pausedUntil: inAnHour + 5_000 });
    await inventory.refresh();
    expect(inventory.waitMs()).toBeGreaterThan(4_000);
    expect(inventory.waitMs()).toBeLessThanOrEqual(5_000);
    await ledger.savePause('inventory', { pausedAt: 0, pausedUntil: inAnHour * 2 });
    await inventory.refresh();
    expect(inventory.waitMs()).toBeLessThanOrEqual(3_600_000);
  });
});
