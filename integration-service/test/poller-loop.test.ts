import { HttpResponse, http } from 'msw';
import { describe, expect, it, vi } from 'vitest';
import type { PolledSource } from '../src/delivery/flow.ts';
import { SOURCE } from './ledgers.ts';
import { ALICE, BOB, CRM_URL, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();

const AN_HOUR_MS = 3_600_000;

/** The items, with a call of `stop` before an item in the nth iteration. */
function stopping<Item>(
  items: Iterable<Item>,
  [nth, at]: readonly [number, number],
  stop: () => void,
): Iterable<Item> {
  let times = 0;
  return {
    *[Symbol.iterator]() {
      times += 1;
      let number = 0;
      for (const item of items) {
        if (++number === at && times === nth) stop();
        yield item;
      }
    },
  };
}

describe('the poller', () => {
  it('polls again after the interval, for as long as it runs', async () => {
    network.use(crmLists([]));
    const { poller, untilLogged } = await setUpService({ pollingIntervalMs: 5 });
    void poller.run();
    await untilLogged('--- Polling cycle finished. Waiting for 0.005 seconds. ---', 3);
  });

  it('begins with a poll, without waiting for the interval', async () => {
    network.use(crmLists([]));
    const { poller, untilLogged, messages } = await setUpService({ pollingIntervalMs: AN_HOUR_MS });
    void poller.run();
    await untilLogged('--- Polling cycle finished.');
    expect(messages()[0]).toBe('--- Polling cycle started ---');
  });

  it('is stopped while it waits for the next cycle', async () => {
    network.use(crmLists([]));
    const { poller, untilLogged } = await setUpService({ pollingIntervalMs: AN_HOUR_MS });
    void poller.run();
    await untilLogged('--- Polling cycle finished.');
    await poller.stop();
    await poller.stop();
  });

  it.each([
    ['written down', {}, [1, 1_500], 1_000],
    ['looked up, whether they are too many,', { surgeLimit: 1_000 }, [1, 700], 0],
    ['held', { surgeLimit: 1_000 }, [2, 700], 0],
  ] as const)(
    'is stopped while items are %s, and has not been there',
    async (_, options, where, expected) => {
      network.use(crmLists(Array.from({ length: 2_000 }, (_, i) => ({ id: `customer-${i}` }))));
      const { ledger, poller, flow } = await setUpService(options);
      const source = flow.sources[0] as PolledSource;
      const { read } = source;
      let stopped: Promise<unknown> | undefined;
      const stop = () => {
        stopped ??= poller.stop();
      };
      source.read = async (...given) => {
        const reading = await read(...given);
        if (reading.kind !== 'items') return reading;
        return { ...reading, items: stopping(reading.items, where, stop) };
      };
      await poller.run();
      expect(stopped).toBeDefined();
      await stopped;
      expect(await ledger.list({}, 2_000)).toHaveLength(expected);
      expect(
        (await ledger.readProgress({ flow: 'welcome-package', source: SOURCE })).sweptAt,
      ).toBeUndefined();
    },
  );

  it('waits RETRY_DELAY_SECONDS between attempts, and is stopped while it does', async () => {
    let polls = 0;
    network.use(
      http.get(CRM_URL, () => {
        polls += 1;
        return HttpResponse.error();
      }),
    );
    const { poller, untilLogged, messages } = await setUpService({ retryDelayMs: AN_HOUR_MS });
    void poller.run();
    await untilLogged('Failed to fetch customers (Attempt 1/3)');
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    await poller.stop();
    expect(polls).toBe(1);
    expect(messages('warn')).toEqual([]);
  });

  it('does not wait after the last attempt', async () => {
    network.use(http.get(CRM_URL, () => HttpResponse.error()));
    const { poller, messages } = await setUpService({ maxRetries: 1, retryDelayMs: AN_HOUR_MS });
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
    const { poller, messages, registry } = await setUpService({ requestTimeoutMs: AN_HOUR_MS });
    void poller.run();
    await asked.promise;
    await poller.stop();
    expect(messages('error')).toEqual([]);
    expect(await registry.metrics()).toContain(
      'polls_total{flow="welcome-package",source="crm",result="failure"} 0',
    );
  });
});

describe('readiness', () => {
  it('comes with the first successful poll and goes three intervals after the last', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    network.use(crmLists([]));
    const { poller } = await setUpService({ pollingIntervalMs: 10_000, maxRetries: 1 });
    const reason = 'No poll of the CRM succeeded in the last 30 seconds.';
    const degraded = [{ part: 'crm', reason }];
    expect(poller.checkReadiness()).toEqual({ ready: false, reason, degraded });

    await poller.runCycle();
    expect(poller.checkReadiness()).toEqual({ ready: true, degraded: [] });
    vi.advanceTimersByTime(30_000);
    expect(poller.checkReadiness()).toEqual({ ready: true, degraded: [] });

    network.use(http.get(CRM_URL, () => new HttpResponse('Jane', { status: 503 })));
    await poller.runCycle();
    const why = 'The last poll of the CRM failed: 503 Service Unavailable.';
    expect(poller.checkReadiness()).toEqual({
      ready: true,
      degraded: [{ part: 'crm', reason: why }],
    });
    vi.advanceTimersByTime(1);
    expect(poller.checkReadiness()).toMatchObject({ ready: false, reason: `${reason} ${why}` });
    vi.useRealTimers();
  });
});

describe('a list of which no record can be used', () => {
  const reason =
    'None of the 2 records in the list of the CRM can be used (position 0, id 7: its id is not a string). Nobody is served. npm run audit lists them.';

  it('makes the service unready at every poll, with one warning and the reason', async () => {
    const etag = '"as-it-was"';
    network.use(
      http.get(CRM_URL, ({ request }) =>
        request.headers.get('if-none-match') === etag
          ? new HttpResponse(null, { status: 304 })
          : HttpResponse.json([{ id: 7, name: 'Jane' }, { id: 8 }], { headers: { etag } }),
      ),
    );
    const { poller, messages, metric } = await setUpService();
    await poller.runCycle();
    expect(messages('warn').slice(1)).toEqual([
      'Skipping a record: position 0, id 7: its id is not a string.',
      'Skipping a record: position 1, id 8: its id is not a string.',
    ]);
    for (let poll = 2; poll <= 3; poll++) {
      await poller.runCycle();
      expect(messages('warn').filter((message) => message === reason)).toHaveLength(poll);
      expect(messages('warn')).toHaveLength(poll + 2);
      expect(poller.checkReadiness()).toMatchObject({ ready: false, reason });
    }
    expect(messages()).not.toContain('No new customers found.');
    expect(messages().join()).not.toContain('Jane');
    expect(await metric('polls_total{flow="welcome-package",source="crm",result="success"}')).toBe(
      0,
    );

    network.use(crmLists([{ id: '7' }, { id: 8 }]));
    await poller.runCycle();
    const records = '2 record(s) of the CRM cannot be used: npm run audit';
    expect(poller.checkReadiness()).toMatchObject({
      ready: true,
      degraded: [{ part: 'unusable records', reason: expect.stringContaining(records) }],
    });
  });

  it('is no reason where it is only what came since the last poll', async () => {
    const link = '<?after=1>; rel="next"';
    network.use(
      http.get(CRM_URL, ({ request }) => {
        const isMore = request.url.includes('after');
        return HttpResponse.json(isMore ? [{ id: 7 }] : [ALICE], {
          headers: isMore ? {} : { link },
        });
      }),
    );
    const { poller, messages } = await setUpService();
    await poller.runCycle();
    await poller.runCycle();
    expect(poller.checkReadiness()).toMatchObject({ ready: true });
    expect(messages('warn')).toEqual([
      'Skipping a record: position 1, id 7: its id is not a string.',
    ]);
  });
});

describe('metrics', () => {
  it('count polls by their result, and customers seen', async () => {
    network.use(crmLists([ALICE, BOB, { id: '' }]));
    const { poller, metric } = await setUpService({ maxRetries: 2 });
    for (const line of [
      'polls_total{flow="welcome-package",source="crm",result="success"}',
      'polls_total{flow="welcome-package",source="crm",result="failure"}',
      'records_seen_total{flow="welcome-package",source="crm",result="new"}',
      'records_seen_total{flow="welcome-package",source="crm",result="known"}',
      'records_seen_total{flow="welcome-package",source="crm",result="held"}',
      'records_seen_total{flow="welcome-package",source="crm",result="invalid"}',
      'last_successful_poll_timestamp_seconds{flow="welcome-package",source="crm"}',
    ]) {
      expect(await metric(line), line).toBe(0);
    }

    await poller.runCycle();
    await poller.runCycle();
    const polledAt = await metric(
      'last_successful_poll_timestamp_seconds{flow="welcome-package",source="crm"}',
    );
    network.use(http.get(CRM_URL, () => HttpResponse.error()));
    await poller.runCycle();

    expect(await metric('polls_total{flow="welcome-package",source="crm",result="success"}')).toBe(
      2,
    );
    expect(await metric('polls_total{flow="welcome-package",source="crm",result="failure"}')).toBe(
      1,
    );
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="new"}'),
    ).toBe(2);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="known"}'),
    ).toBe(2);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="invalid"}'),
    ).toBe(2);
    expect(await metric('poll_duration_seconds_count{flow="welcome-package",source="crm"}')).toBe(
      3,
    );
    expect(polledAt).toBeCloseTo(Date.now() / 1000, -1);
    expect(
      await metric('last_successful_poll_timestamp_seconds{flow="welcome-package",source="crm"}'),
    ).toBe(polledAt);
  });
});
