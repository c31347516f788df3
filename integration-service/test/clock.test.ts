import { HttpResponse, http } from 'msw';
import { describe, expect, it, vi } from 'vitest';
import { ingestList, LEDGER_KINDS, newLocation, open, SOURCE } from './ledgers.ts';
import {
  ALICE,
  BOB,
  CRM_URL,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  setUpService,
} from './support.ts';

const network = mockNetwork();
// Long enough for a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const FLOW = 'welcome-package';
const OF = { flow: FLOW, source: SOURCE };
const T0 = 1_700_000_000_000;
const HALF_AN_HOUR = 1_800_000;

const itemOf = (id: string) => ({
  key: id,
  lane: id,
  payload: JSON.stringify({ customer_id: id }),
});

describe.each(LEDGER_KINDS)('a clock that goes back, with a ledger of %s', (kind) => {
  it.each(['pending', 'unknown'] as const)(
    'has a wait of a %s delivery count anew, for as long as it was meant',
    async (status) => {
      const ledger = await open(await newLocation(kind));
      const later = T0 + HALF_AN_HOUR;
      await ingestList(ledger, FLOW, ['a', 'b', 'c'].map(itemOf), { now: later });
      const [a, b] = await ledger.claim(FLOW, { order: 'lane', limit: 2, now: later });
      const result = (claim: typeof a, nextAttemptAt: number) => ({
        claim: claim as NonNullable<typeof a>,
        transition: { status, attempts: 1, reads: 0, nextAttemptAt, lastError: 'no' },
      });
      await ledger.commit([result(a, later + 7_000)], later);
      await ledger.commit([result(b, T0 + 60_000)], T0 + 9_000);
      await ledger.recount(FLOW, T0);
      const dues = (await ledger.list({}, 3)).map(({ next_attempt_at }) => next_attempt_at);
      // The second one was written by a replica whose clock is slightly ahead.
      expect(dues).toEqual([T0 + 7_000, T0 + 60_000, T0]);
    },
  );
});

describe('a wall clock that goes back by half an hour', () => {
  it('makes nobody wait longer for the next attempt', async () => {
    const asked: string[] = [];
    const ids = ['a', 'b', 'c', 'd'];
    let failures = 0;
    network.use(
      crmLists(ids.map((id) => ({ id }))),
      http.post(INVENTORY_URL, () =>
        ++failures > ids.length ? undefined : new HttpResponse(null, { status: 503 }),
      ),
      ...inventoryTakes(asked),
    );
    const service = await setUpService({ random: () => 0.999 });
    await service.poller.runCycle();
    void service.dispatcher.run();
    await service.until(async () => {
      const all = await service.ledger.list({ status: 'pending' }, 9);
      return all.filter(({ last_error }) => last_error !== null).length === ids.length;
    });
    service.jump(-HALF_AN_HOUR);
    const isSoon = async () => {
      const all = await service.ledger.list({ status: 'pending' }, 9);
      return all.every((each) => Number(each.next_attempt_at) <= service.now() + 1_000);
    };
    while (!(await isSoon())) await new Promise(setImmediate);
    service.advance(1_000);
    await service.untilDone();
    expect(asked.sort()).toEqual(ids);
  });

  it('makes nobody wait who was seen before', async () => {
    const asked: string[] = [];
    network.use(crmLists([ALICE, BOB]), ...inventoryTakes(asked));
    const service = await setUpService();
    await service.poller.runCycle();
    service.jump(-HALF_AN_HOUR);
    void service.dispatcher.run();
    await service.untilDone();
    expect(asked).toHaveLength(2);
  });
});

describe('a replica under a clock that was ahead', () => {
  const setUp = async (aheadMs: number) => {
    const service = await setUpService();
    Object.assign(service.ledger, { isAlone: false });
    const now = Date.now() + aheadMs;
    await service.ledger.takePollLease(OF, {
      now,
      forMs: 20_000,
      maxMs: 0,
      polledAt: now,
    });
    return service;
  };

  it('does not keep others from polling by a turn that ends in minutes', async () => {
    network.use(crmLists([]));
    const service = await setUp(240_000);
    void service.poller.run();
    await service.untilLogged('Successfully fetched customers.');
  });

  it('does not make them ready for longer by a poll that is yet to come', async () => {
    network.use(http.get(CRM_URL, () => HttpResponse.error()));
    const service = await setUp(15_000);
    vi.useFakeTimers({ toFake: ['performance'] });
    void service.poller.run();
    while (!service.poller.checkReadiness().ready) await new Promise(setImmediate);
    vi.advanceTimersByTime(30_001);
    expect(service.poller.checkReadiness().ready).toBe(false);
    vi.useRealTimers();
  });
});
