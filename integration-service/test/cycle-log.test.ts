import { HttpResponse, http } from 'msw';
import { describe, expect, it } from 'vitest';
import { createCycleLog } from '../src/delivery/ingest/cycle-log.ts';
import { ALICE, CRM_URL, captureLog, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();
const STARTED = '--- Polling cycle started ---';

it('shows the first of idle cycles, and those that find somebody or fail', async () => {
  const { poller, messages } = await setUpService({ maxRetries: 1 });
  const shown: number[] = [];
  const poll = async () => {
    const before = messages('info').length;
    await poller.runCycle();
    const lines = messages('info').slice(before);
    expect(lines.filter((line) => line === STARTED).length).toBe(lines.length > 0 ? 1 : 0);
    shown.push(lines.length);
  };
  network.use(crmLists([]));
  for (let i = 0; i < 3; i++) await poll();
  network.use(crmLists([ALICE]));
  for (let i = 0; i < 3; i++) await poll();
  network.use(http.get(CRM_URL, () => HttpResponse.error()));
  for (let i = 0; i < 2; i++) await poll();
  network.use(crmLists([]));
  for (let i = 0; i < 2; i++) await poll();
  expect(shown).toEqual([5, 0, 0, 5, 5, 0, 3, 3, 5, 0]);
  expect(messages().filter((line) => line === STARTED)).toHaveLength(10);
});

describe('the log of cycles', () => {
  function setUp() {
    let now = 0;
    const { log, messages } = captureLog();
    const cycles = createCycleLog({
      ...{ log, cycle: 'Polling cycle', noun: 'customer', monotonicNow: () => now },
    });
    const run = async (line: string, passesMs = 10_000) => {
      await cycles.run(async () => {
        cycles.log.info(line);
        if (line === 'found') cycles.show();
      });
      now += passesMs;
    };
    return { run, cycles, messages };
  }

  it('sums up idle cycles every ten minutes', async () => {
    const { run, messages } = setUp();
    for (let i = 0; i < 150; i++) await run('idle');
    const sum = 'Polling cycle: 60 in the last 10 minutes found no new customers.';
    expect(messages('info')).toEqual(['idle', sum, sum]);
    await run('found');
    for (let i = 0; i < 3; i++) await run('idle', 3_600_000);
    const hour = 'Polling cycle: 1 in the last 60 minutes found no new customers.';
    expect(messages('info').slice(3)).toEqual(['found', 'idle', hour, hour]);
  });

  it('keeps the lines of a cycle in their order, and shows them with the first warning', async () => {
    const { run, cycles, messages } = setUp();
    for (let i = 0; i < 2; i++) await run('idle');
    await cycles.run(async () => {
      cycles.log.info('before');
      expect(messages('info')).toEqual(['idle']);
      cycles.log.warn('failed');
      cycles.log.info('after');
      expect(messages().slice(-3)).toEqual(['before', 'failed', 'after']);
    });
  });
});
