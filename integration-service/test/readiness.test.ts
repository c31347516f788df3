import type { Readiness } from 'service-kit/operations';
import { expect, it } from 'vitest';
import { LedgerError } from '../src/delivery/ledger/ledger-error.ts';
import { readinessOf } from '../src/open-flow.ts';
import { ALICE, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();

/** The readiness of a service whose CRM works. */
async function setUp(
  parts: {
    ledger?: Parameters<typeof readinessOf>[0];
    flows?: Parameters<typeof readinessOf>[1];
  } = {},
) {
  network.use(crmLists([ALICE]));
  const service = await setUpService();
  await service.poller.runCycle();
  const { ledger, open } = service;
  const check = () => readinessOf(parts.ledger ?? ledger, parts.flows ?? [open]);
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
  const again = await setUp();
  again.breaker.pass()?.refuse('401 Unauthorized: Jane Doe');
  const refused = [{ part, reason: reason('401 Unauthorized') }];
  expect(again.check()).toEqual({ ready: true, degraded: refused });
});

it('names the system that asks for fewer calls, and until when', async () => {
  const { check, pauses } = await setUp();
  pauses.inventory.begin('429 Too Many Requests', 60_000);
  pauses.CRM.begin('429 Too Many Requests', 60_000);
  const reason = expect.stringMatching(/ asks for fewer calls, and is not called until 2.*Z\.$/);
  const degraded = ['crm', 'inventory'].map((part) => ({ part, reason }));
  expect(check()).toEqual({ ready: true, degraded });
});

it('lists what is degraded of every flow, and is not ready when one of them is not', async () => {
  const reason = 'There is no connection to RabbitMQ.';
  const flow = (readiness: Readiness) => ({ checkReadiness: () => readiness });
  const degraded = [{ part: 'events', reason }];
  const works = flow({ ready: true, degraded });
  const { check } = await setUp({ flows: [works, flow({ ready: true })] });
  expect(check()).toEqual({ ready: true, degraded });
  const fails = flow({ ready: false, reason: 'No poll.', degraded: [] });
  const { check: checkBoth } = await setUp({ flows: [works, fails] });
  expect(checkBoth()).toEqual({ ready: false, reason: 'No poll.', degraded });
});

it('is none while the ledger cannot be used', async () => {
  const reason = 'The disk is full.';
  const { check } = await setUp({ ledger: { problem: () => new LedgerError('full', reason) } });
  expect(check()).toEqual({ ready: false, reason, degraded: [{ part: 'ledger', reason }] });
});
