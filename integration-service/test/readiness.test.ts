import { expect, it } from 'vitest';
import { createCircuitBreaker } from '../src/delivery/dispatch/circuit-breaker.ts';
import { LedgerError } from '../src/delivery/ledger/ledger-error.ts';
import { checkReadiness, type ReadinessParts } from '../src/readiness.ts';
import { ALICE, captureLog, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();
const monotonicNow = () => performance.now();

/** The readiness of a service whose CRM works. */
async function setUp(parts: Partial<ReadinessParts> = {}) {
  network.use(crmLists([ALICE]));
  const service = await setUpService();
  await service.poller.runCycle();
  const { ledger, poller, breaker, pauses } = service;
  const targets = { inventory: { breaker, pause: pauses.inventory } };
  const events = { problem: () => undefined };
  const check = () => checkReadiness({ ledger, poller, targets, events, ...parts });
  return { ...service, check };
}

it('is that of the service as a whole when every part works', async () => {
  expect((await setUp()).check()).toEqual({ ready: true, degraded: [] });
});

it('names the inventory while it fails, or refuses access, and not what it says', async () => {
  const { check, breaker } = await setUp();
  for (let i = 0; i < 5; i++) breaker.pass()?.fail('500 Internal Server Error: Jane Doe');
  const reason = (why: string) =>
    `The inventory fails: ${why}. Nothing is lost. One call from time to time tests it.`;
  const part = 'inventory';
  const degraded = [{ part, reason: reason('500 Internal Server Error') }];
  expect(check()).toEqual({ ready: true, degraded });
  const refused = createCircuitBreaker({
    target: 'inventory',
    log: captureLog().log,
    monotonicNow,
  });
  refused.pass()?.refuse('401 Unauthorized: Jane Doe');
  const again = (
    await setUp({ targets: { inventory: { breaker: refused, pause: { until: () => undefined } } } })
  ).check();
  expect(again).toEqual({ ready: true, degraded: [{ part, reason: reason('401 Unauthorized') }] });
});

it('names the system that asks for fewer calls, and until when', async () => {
  const { check, pauses } = await setUp();
  pauses.inventory.begin('429 Too Many Requests', 60_000);
  pauses.crm.begin('429 Too Many Requests', 60_000);
  const reason = expect.stringMatching(/ asks for fewer calls, and is not called until 2.*Z\.$/);
  const degraded = ['crm', 'inventory'].map((part) => ({ part, reason }));
  expect(check()).toEqual({ ready: true, degraded });
});

it('names the source of events that is not connected', async () => {
  const reason = 'There is no connection to RabbitMQ.';
  const { check } = await setUp({ events: { problem: () => reason } });
  expect(check()).toEqual({ ready: true, degraded: [{ part: 'events', reason }] });
});

it('is none while the ledger cannot be used', async () => {
  const reason = 'The disk is full.';
  const { check } = await setUp({ ledger: { problem: () => new LedgerError('full', reason) } });
  expect(check()).toEqual({ ready: false, reason, degraded: [{ part: 'ledger', reason }] });
});
