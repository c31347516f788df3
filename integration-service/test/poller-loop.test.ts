import { HttpResponse, http } from 'msw';
import { describe, expect, it, vi } from 'vitest';
import {
  ALICE,
  BOB,
  CRM_URL,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  setUpPoller,
} from './support.ts';

const network = mockNetwork();

const AN_HOUR_MS = 3_600_000;

describe('the poller', () => {
  it('polls again after the interval, for as long as it runs', async () => {
    network.use(crmLists([]));
    const { poller, until } = setUpPoller({ pollingIntervalMs: 5 });
    poller.start();
    await until('--- Polling cycle finished. Waiting for 0.005 seconds. ---', 3);
  });

  it('begins with a poll, without waiting for the interval', async () => {
    network.use(crmLists([]));
    const { poller, until, messages } = setUpPoller({ pollingIntervalMs: AN_HOUR_MS });
    poller.start();
    await until('--- Polling cycle finished.');
    expect(messages()[0]).toBe('Integration service started.');
  });

  it('never polls while a package request is under way', async () => {
    let underWay = 0;
    let overlaps = 0;
    const customers = [ALICE];
    network.use(
      http.get(CRM_URL, () => {
        overlaps += underWay;
        customers.push({ ...BOB, id: `${customers.length}` });
        return HttpResponse.json(customers);
      }),
      http.post(INVENTORY_URL, async () => {
        underWay += 1;
        await new Promise((resolve) => setTimeout(resolve, 10));
        underWay -= 1;
        return new HttpResponse(null, { status: 201 });
      }),
    );
    const { poller, until } = setUpPoller({ pollingIntervalMs: 1 });
    poller.start();
    await until('--- Polling cycle finished.', 5);
    expect(overlaps).toBe(0);
  });

  it('is stopped while it waits for the next cycle', async () => {
    network.use(crmLists([]));
    const { poller, until } = setUpPoller({ pollingIntervalMs: AN_HOUR_MS });
    poller.start();
    await until('--- Polling cycle finished.');
    await poller.stop();
    await poller.stop();
  });

  it('waits RETRY_DELAY_SECONDS between attempts, and is stopped while it does', async () => {
    let polls = 0;
    network.use(
      http.get(CRM_URL, () => {
        polls += 1;
        return HttpResponse.error();
      }),
    );
    const { poller, until, messages } = setUpPoller({ retryDelayMs: AN_HOUR_MS });
    poller.start();
    await until('Failed to fetch customers (Attempt 1/3)');
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    await poller.stop();
    expect(polls).toBe(1);
    expect(messages('warn')).toEqual([]);
  });

  it('does not wait after the last attempt', async () => {
    network.use(http.get(CRM_URL, () => HttpResponse.error()));
    const { poller, messages } = setUpPoller({ maxRetries: 1, retryDelayMs: AN_HOUR_MS });
    await poller.runCycle();
    expect(messages('error')).toHaveLength(1);
  });

  it('is stopped while the CRM does not answer, and does not call that a failure', async () => {
    const asked = Promise.withResolvers<void>();
    network.use(
      http.get(CRM_URL, () => {
        asked.resolve();
        return new Promise<never>(() => {});
      }),
    );
    const { poller, messages, registry } = setUpPoller({ requestTimeoutMs: AN_HOUR_MS });
    poller.start();
    await asked.promise;
    await poller.stop();
    expect(messages('error')).toEqual([]);
    expect(await registry.metrics()).toContain('polls_total{result="failure"} 0');
  });

  it('finishes the package request under way when it is stopped, and begins no other', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    let requests = 0;
    network.use(
      crmLists([ALICE, BOB]),
      http.post(INVENTORY_URL, async () => {
        requests += 1;
        asked.resolve();
        await answer.promise;
        return new HttpResponse(null, { status: 201 });
      }),
    );
    const { poller, delivered } = setUpPoller({ concurrency: 1 });
    poller.start();
    await asked.promise;
    const stopped = poller.stop();
    answer.resolve();
    await stopped;
    expect([...delivered]).toEqual([ALICE.id]);
    expect(requests).toBe(1);
  });

  it('cuts a package request off that outlasts the grace time of a stop', async () => {
    const asked = Promise.withResolvers<void>();
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => {
        asked.resolve();
        return new Promise<never>(() => {});
      }),
    );
    const { poller, messages, delivered } = setUpPoller({ requestTimeoutMs: AN_HOUR_MS });
    poller.start();
    await asked.promise;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const stopped = poller.stop();
    vi.advanceTimersByTime(5_999);
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    expect(messages('error')).toEqual([]);
    vi.advanceTimersByTime(1);
    vi.useRealTimers();
    await stopped;
    expect(messages('error')).toEqual([
      `Failed to create package request for customer ID ${ALICE.id}: the service is stopping`,
    ]);
    expect(delivered.size).toBe(0);
  });
});

describe('readiness', () => {
  it('comes with the first successful poll and goes three intervals after the last', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    network.use(crmLists([]));
    const { poller } = setUpPoller({ pollingIntervalMs: 10_000, maxRetries: 1 });
    const reason = 'No poll of the CRM succeeded in the last 30 seconds.';
    expect(poller.checkReadiness()).toEqual({ ready: false, reason });

    await poller.runCycle();
    expect(poller.checkReadiness()).toEqual({ ready: true });
    vi.advanceTimersByTime(30_000);
    expect(poller.checkReadiness()).toEqual({ ready: true });

    network.use(http.get(CRM_URL, () => HttpResponse.error()));
    await poller.runCycle();
    vi.advanceTimersByTime(1);
    expect(poller.checkReadiness()).toEqual({ ready: false, reason });
    vi.useRealTimers();
  });
});

describe('metrics', () => {
  it('count polls, customers seen and package requests by their result', async () => {
    network.use(
      crmLists([ALICE, BOB, { id: '' }]),
      http.post(INVENTORY_URL, () => HttpResponse.error(), { once: true }),
      inventoryTakes([]),
    );
    const { poller, registry } = setUpPoller({ maxRetries: 2 });
    const value = async (line: string) =>
      Number(
        (await registry.metrics())
          .split('\n')
          .find((each) => each.startsWith(`${line} `))
          ?.split(' ')[1],
      );
    for (const line of [
      'polls_total{result="success"}',
      'polls_total{result="failure"}',
      'package_requests_total{result="success"}',
      'package_requests_total{result="failure"}',
      'customers_seen_total',
      'last_successful_poll_timestamp_seconds',
    ]) {
      expect(await value(line), line).toBe(0);
    }

    await poller.runCycle();
    await poller.runCycle();
    const polledAt = await value('last_successful_poll_timestamp_seconds');
    network.use(http.get(CRM_URL, () => HttpResponse.error()));
    await poller.runCycle();

    expect(await value('polls_total{result="success"}')).toBe(2);
    expect(await value('polls_total{result="failure"}')).toBe(1);
    expect(await value('customers_seen_total')).toBe(6);
    expect(await value('package_requests_total{result="success"}')).toBe(2);
    expect(await value('package_requests_total{result="failure"}')).toBe(1);
    expect(await value('poll_duration_seconds_count')).toBe(3);
    expect(polledAt).toBeCloseTo(Date.now() / 1000, -1);
    expect(await value('last_successful_poll_timestamp_seconds')).toBe(polledAt);
  });
});
