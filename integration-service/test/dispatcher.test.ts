import { HttpResponse, http } from 'msw';
import { describe, expect, it, vi } from 'vitest';
import { LedgerError } from '../src/delivery/ledger/ledger-error.ts';
import { ingestList } from './ledgers.ts';
import {
  ALICE,
  BOB,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  POLICY,
  packageRequest,
  type ServiceTestOptions,
  setUpService,
} from './support.ts';

const network = mockNetwork();

/** An inventory that receives requests and answers them when the test says so. */
function slowInventory() {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const ids: string[] = [];
  network.use(
    crmLists([ALICE, BOB]),
    http.get(INVENTORY_URL, () => HttpResponse.json([])),
    http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
      const { customer_id } = await request.json();
      ids.push(customer_id);
      asked.resolve();
      await answer.promise;
      return HttpResponse.json(packageRequest(customer_id), { status: 201 });
    }),
  );
  return { asked: asked.promise, answer: answer.resolve, ids };
}

async function start(options: ServiceTestOptions = {}) {
  const service = await setUpService({ requestTimeoutMs: 3_600_000, ...options });
  await service.poller.runCycle();
  void service.dispatcher.run();
  return service;
}

const historyOf = async ({ ledger }: Awaited<ReturnType<typeof start>>, id: string) =>
  ((await ledger.get('welcome-package', id))?.history ?? []).map(({ what }) => what);

describe('the dispatcher, when it is stopped', () => {
  it('finishes the delivery under way, writes it down, and begins no other', async () => {
    const { asked, answer, ids } = slowInventory();
    const service = await start({ concurrency: 1 });
    await asked;
    const stopped = service.stop();
    answer();
    await stopped;
    expect(ids).toEqual([ALICE.id]);
    expect(await service.keysOf('delivered')).toEqual([ALICE.id]);
    expect(await service.keysOf('pending')).toEqual([BOB.id]);
    await service.stop();
  });

  it('cuts off what takes longer than the grace time; its outcome is unknown', async () => {
    const { asked } = slowInventory();
    const service = await start({ concurrency: 1 });
    await asked;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const stopped = service.stop();
    vi.advanceTimersByTime(5_499);
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    expect(await service.keysOf('sending')).toEqual([ALICE.id]);
    vi.advanceTimersByTime(1);
    vi.useRealTimers();
    await stopped;
    expect(await service.keysOf('unknown')).toEqual([ALICE.id]);
    expect((await service.ledger.list({}, 1))[0]?.last_error).toBe('the service is stopping');
  });

  it('waits no longer than it is told', async () => {
    const { asked } = slowInventory();
    const service = await start({ concurrency: 1 });
    await asked;
    await service.dispatcher.stop({ graceMs: 0 });
    expect(await service.keysOf('unknown')).toEqual([ALICE.id]);
  });

  it('gives up a ledger that cannot be written, which settles after the next start', async () => {
    const { asked, answer } = slowInventory();
    const service = await start({ concurrency: 1 });
    await asked;
    service.ledger.commit = async () => {
      throw new LedgerError('full', 'The disk is full.');
    };
    answer();
    await service.until(async () => (await service.keysOf('sending')).length === 1);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const stopped = service.stop();
    vi.advanceTimersByTime(6_000);
    vi.useRealTimers();
    await stopped;
    expect(await service.keysOf('sending')).toEqual([ALICE.id]);
  });
});

describe('a lease', () => {
  it('that ran out before the request was sent keeps it from being sent, and costs no attempt', async () => {
    const asked: string[] = [];
    network.use(crmLists([ALICE]), ...inventoryTakes(asked));
    let isFirst = true;
    const service: Awaited<ReturnType<typeof setUpService>> = await start({
      onEvent({ kind }) {
        if (kind !== 'claimed' || !isFirst) return;
        isFirst = false;
        service.ledger.renew = async (claims) => [...claims];
        service.advance(15_000);
      },
    });
    await service.untilDone();
    expect(asked).toEqual([ALICE.id]);
    expect(await historyOf(service, ALICE.id)).toEqual(['ingested', 'aborted', 'delivered']);
    expect((await service.ledger.list({}, 1))[0]?.attempts).toBe(1);
  });

  it('is kept for as long as the call takes', async () => {
    const { asked, answer } = slowInventory();
    const service = await start({ concurrency: 1 });
    await asked;
    for (let i = 0; i < 10; i++) {
      const renewed = vi.spyOn(service.ledger, 'renew');
      service.advance(6_000);
      await vi.waitFor(() => expect(renewed).toHaveBeenCalled(), 50_000);
      renewed.mockRestore();
    }
    answer();
    await service.untilDone();
    expect(await historyOf(service, ALICE.id)).toEqual(['ingested', 'delivered']);
  });

  it('that was lost keeps a late result from being written over what became of it', async () => {
    const { asked, answer, ids } = slowInventory();
    const service = await start({ concurrency: 1 });
    await asked;
    await service.ledger.recover('welcome-package', Date.now(), { isAlone: true });
    answer();
    service.advance(0);
    await service.until(async () => (await service.keysOf('delivered')).includes(BOB.id));
    const history = await historyOf(service, ALICE.id);
    expect(history.slice(0, 2)).toEqual(['ingested', 'lease_lost']);
    expect(history).not.toContain('delivered');
    expect(ids).toEqual([ALICE.id, BOB.id]);
  });
});

it('says at its start how much a process that ended had under way', async () => {
  network.use(crmLists([ALICE, BOB]), ...inventoryTakes([]));
  const service = await setUpService();
  await service.poller.runCycle();
  await service.ledger.claim('welcome-package', { order: 'lane', limit: 2, now: Date.now() });
  void service.dispatcher.run();
  await service.untilLogged(
    `A process ended with 2 under way (${ALICE.id}, ${BOB.id}): asking the inventory what became of them.`,
  );
});

it('gives back what was claimed ahead, as if it had not been, when the inventory fails', async () => {
  let [taken, refused] = [0, 0];
  network.use(
    crmLists(Array.from({ length: 300 }, (_, i) => ({ id: `customer-${i}` }))),
    http.get(INVENTORY_URL, () => HttpResponse.json([])),
    http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
      const { customer_id } = await request.json();
      if (taken < 100) {
        taken += 1;
        return HttpResponse.json(packageRequest(customer_id), { status: 201 });
      }
      refused += 1;
      return new HttpResponse(null, { status: 503 });
    }),
  );
  const claimedAtOnce: number[] = [];
  const service = await setUpService({
    concurrency: 4,
    requestTimeoutMs: 3_600_000,
    // However slow this machine is, the target seems fast.
    isClockStill: true,
    random: () => 0.999,
  });
  const { claim } = service.ledger;
  service.ledger.claim = async (...options) => {
    const claims = await claim(...options);
    claimedAtOnce.push(claims.length);
    return claims;
  };
  await service.poller.runCycle();
  void service.dispatcher.run();
  await service.until(() => service.breaker.state() === 'open');
  await service.until(async () => (await service.keysOf('sending')).length === 0);
  expect(Math.max(...claimedAtOnce)).toBeGreaterThan(4);
  const rows = await service.ledger.list({ status: 'pending' }, 1_000);
  expect(rows).toHaveLength(200);
  expect(rows.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(refused);
  const untouched = rows.filter(({ attempts }) => attempts === 0);
  const histories = await Promise.all(
    untouched.slice(0, 50).map(({ key }) => service.ledger.get('welcome-package', key)),
  );
  expect(histories.flatMap((found) => found?.history ?? []).map(({ what }) => what)).toEqual(
    Array(50).fill('ingested'),
  );
});

it('sends on when the inventory failed and worked again while the ledger was being written', async () => {
  let [isFailing, underWay, claimedAtOnce] = [false, 0, 0];
  network.use(
    crmLists(Array.from({ length: 300 }, (_, i) => ({ id: `customer-${i}` }))),
    http.get(INVENTORY_URL, () => HttpResponse.json([])),
    http.post(INVENTORY_URL, () =>
      isFailing ? new HttpResponse(null, { status: 503 }) : undefined,
    ),
    ...inventoryTakes([]),
  );
  const service = await setUpService({
    concurrency: 4,
    requestTimeoutMs: 3_600_000,
    // However slow this machine is, the target seems fast.
    isClockStill: true,
    onEvent({ kind }) {
      if (kind === 'sending') underWay += 1;
      if (kind === 'received') underWay -= 1;
    },
  });
  const { claim, commit } = service.ledger;
  service.ledger.claim = async (...options) => {
    const claims = await claim(...options);
    claimedAtOnce = claims.length;
    return claims;
  };
  let hasFailed = false;
  service.ledger.commit = async (...options) => {
    // More claims than concurrent calls: some wait in the queue.
    if (claimedAtOnce > 4 && !hasFailed) {
      hasFailed = isFailing = true;
      while (service.breaker.state() !== 'open' || underWay > 0) await new Promise(setImmediate);
      isFailing = false;
      service.advance(2_000);
      service.breaker.pass()?.succeed();
    }
    return commit(...options);
  };
  await service.poller.runCycle();
  void service.dispatcher.run();
  await service.untilDone();
  expect(hasFailed).toBe(true);
});

describe('a ledger that fails', () => {
  it('keeps everything from being sent, and all goes on when it works again', async () => {
    const asked: string[] = [];
    network.use(crmLists([ALICE]), ...inventoryTakes(asked));
    const service = await setUpService();
    await service.poller.runCycle();
    const { claim } = service.ledger;
    let attempts = 0;
    service.ledger.claim = async (...values) => {
      attempts += 1;
      if (attempts <= 3) throw new LedgerError('full', 'The disk is full.');
      return claim(...values);
    };
    void service.dispatcher.run();
    while (attempts < 3) {
      service.advance(0);
      await new Promise(setImmediate);
    }
    expect(asked).toEqual([]);
    service.advance(0);
    await service.untilDone();
    expect(asked).toEqual([ALICE.id]);
  });

  it('ends the process when the disk reports errors', async () => {
    network.use(crmLists([ALICE]), ...inventoryTakes([]));
    const service = await setUpService();
    const error = new LedgerError('failing', 'disk I/O error');
    service.ledger.claim = async () => {
      throw error;
    };
    await expect(service.dispatcher.run()).rejects.toBe(error);
  });
});

it('the poller ends the process, too, when the disk reports errors', async () => {
  network.use(crmLists([ALICE]));
  const service = await setUpService();
  const error = new LedgerError('failing', 'disk I/O error');
  service.ledger.ingest = async () => {
    throw error;
  };
  await expect(service.poller.run()).rejects.toBe(error);
});

it('sends a batch after the commit of the one before, where both move one thing', async () => {
  const steps: string[] = [];
  const service = await setUpService({
    createFlow: () => ({
      name: 'rows',
      target: {
        ...{ name: 'file', isRepeatable: false, lookUpAfterMs: [0] },
        async send(batch, { onSend }) {
          onSend();
          steps.push('sent');
          return {
            outcomes: batch.map(() => ({ kind: 'delivered', targetId: 'there' })),
            together: async () => void steps.push('committed'),
          };
        },
        lookUp: async () => new Map(),
      },
      sources: [],
      policy: { ...POLICY, order: 'none', concurrency: 1 },
      laneOf: (id) => id,
      audit: { kinds: {}, async *expected() {} },
    }),
  });
  const items = Array.from({ length: 30 }, (_, i) => {
    return { key: `${i}`, lane: `${i}`, payload: '{}' };
  });
  await ingestList(service.ledger, 'rows', items, { now: 0 });
  void service.dispatcher.run();
  await service.untilDone();
  expect(steps).toEqual(items.flatMap(() => ['sent', 'committed']));
});
