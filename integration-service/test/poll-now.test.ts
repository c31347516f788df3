import { strictSerializerCompiler } from 'service-kit/serialization';
import { expect, it, onTestFinished } from 'vitest';
import { type AppOptions, buildApp } from '../src/app.ts';
import type { LedgerLocation } from '../src/delivery/ledger/ledger.ts';
import { newLocation } from './ledgers.ts';
import { captureLog, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();
const FINISHED = '--- Polling cycle finished.';

async function setUp(ledger: LedgerLocation, options: Partial<AppOptions> = {}) {
  network.use(crmLists([]));
  const service = await setUpService({ ledger, pollingIntervalMs: 3_600_000 });
  const app = await buildApp({
    ...{ log: captureLog().log, serializerCompiler: strictSerializerCompiler },
    ...{ host: '127.0.0.1', flows: [service.open], ledger: service.ledger, now: Date.now },
    ...options,
  });
  onTestFinished(() => app.close());
  const poll = (flow = 'welcome-package') =>
    app.inject({ method: 'POST', url: `/flows/${flow}/poll` });
  return { ...service, poll };
}

it('polls when somebody asks, long before the interval is over, and as often as they ask', async () => {
  const { poller, poll, untilLogged } = await setUp(await newLocation('sqlite'));
  void poller.run();
  for (const times of [1, 2, 3]) {
    await untilLogged(FINISHED, times);
    const response = await poll();
    expect([response.statusCode, response.json()]).toEqual([
      202,
      { detail: 'welcome-package polls now.' },
    ]);
  }
  await untilLogged(FINISHED, 4);
});

it('polls when somebody asks a replica that is not the one that polls', async () => {
  const location = await newLocation('sqlite');
  const [first, second] = [await setUp(location), await setUp(location)];
  void first.poller.run();
  await first.untilLogged(FINISHED);
  void second.poller.run();
  await second.poll();
  await second.untilLogged(FINISHED);
});

it('does not poll while the CRM asks for fewer calls, and says so', async () => {
  const { poller, pauses, poll, messages, untilLogged } = await setUp(await newLocation('sqlite'));
  void poller.run();
  await untilLogged(FINISHED);
  pauses.CRM.begin('429', 60_000);
  const response = await poll();
  expect([response.statusCode, response.json().detail]).toEqual([
    503,
    expect.stringMatching(
      /^A source of welcome-package asks for fewer calls, and is not polled until \d{4}-.*Z\.$/,
    ),
  ]);
  await poller.stop();
  expect(messages().filter((message) => message.startsWith(FINISHED))).toHaveLength(1);
});

it('says which flows are on when it is asked for another', async () => {
  const { poll } = await setUp(await newLocation('sqlite'));
  const response = await poll('shop');
  expect([response.statusCode, response.json().detail]).toEqual([
    404,
    "There is no flow 'shop'; switched on are: welcome-package.",
  ]);
});

it('takes the word of those only who have the token', async () => {
  const { poll } = await setUp(await newLocation('sqlite'), { adminToken: 'a-token-of-mine' });
  expect((await poll()).statusCode).toBe(401);
});
