import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { parseEnvironment } from 'service-kit/environment';
import { expect, it, onTestFinished } from 'vitest';
import { buildApp as buildCrm } from '../../../../crm-api/src/app.ts';
import { buildApp as buildInventory } from '../../../../inventory-api/src/app.ts';
import { splitLines } from '../../../src/analytics/csv.ts';
import { analyticsEnvironment } from '../../../src/analytics/environment.ts';
import { createFlow } from '../../../src/analytics/flow.ts';
import { analyticsMigrations } from '../../../src/analytics/migrations.ts';
import { newLocation, temporaryFolder } from '../../ledgers.ts';
import { setUpService } from '../../support.ts';

const log = pino({ level: 'silent' });

/** crm-api and inventory-api on loopback, and the flow, whose clocks the test moves. */
async function setUp() {
  const folder = temporaryFolder();
  const location = await newLocation('sqlite');
  const [crm, inventory] = [await buildCrm({ log }), await buildInventory({ log })];
  const origins = await Promise.all(
    [crm, inventory].map((app) => app.listen({ host: '127.0.0.1', port: 0 })),
  );
  onTestFinished(async () => {
    await Promise.all([crm.close(), inventory.close()]);
  });
  const settings = parseEnvironment(analyticsEnvironment, {
    ANALYTICS_FOLDER: folder,
    CRM_API_URL: `${origins[0]}/customers`,
    INVENTORY_API_URL: `${origins[1]}/package-requests`,
    ANALYTICS_PRODUCTS_URL: `${origins[1]}/products`,
    ANALYTICS_BATCH_SECONDS: '0',
  });
  const start = () =>
    setUpService({
      ledger: location,
      flowMigrations: analyticsMigrations,
      createFlow: (parts) => createFlow(settings, parts),
    });
  const post = async (app: typeof crm, url: string, payload: object) =>
    (await app.inject({ method: 'POST', url, payload })).json();
  return {
    ...{ folder, start },
    /** The rows of a file, without its header. */
    rows: (name: string) =>
      [...splitLines(readFileSync(join(folder, `analytics_${name}.csv`), 'utf8'))].slice(1),
    create: (name: string) =>
      post(crm, '/customers', { name, email: `${name.replaceAll(' ', '.')}@example.com` }),
    request: (customer_id: string) => post(inventory, '/package-requests', { customer_id }),
  };
}

type Service = Awaited<ReturnType<Awaited<ReturnType<typeof setUp>>['start']>>;

async function poll({ open }: Service): Promise<void> {
  for (const poller of open.pollers) await poller.runCycle();
}

it('brings customers, products and package requests into their files, each state once', async () => {
  const { start, rows, create, request } = await setUp();
  const service = await start();
  const jane = await create('Jane Doe');
  const { request_id } = await request(jane.id);
  await poll(service);
  void service.dispatcher.run();
  await service.untilDone();
  expect(rows('customers')).toEqual([
    expect.stringMatching(
      new RegExp(`^${jane.id},Jane Doe,Jane.Doe@example.com,${jane.created_at},1,20.*Z\r\n$`),
    ),
  ]);
  expect(rows('inventory')).toHaveLength(12);
  expect(rows('data')).toEqual([
    expect.stringMatching(
      new RegExp(
        `^${request_id},${jane.id},Jane Doe,Jane.Doe@example.com,welcome_package,Welcome package,14.9,EUR,.*Z,\\d+(\\.\\d+)?,1,.*Z\r\n$`,
      ),
    ),
  ]);
  // Nothing is new: nothing is written. The stock of a product changes with each request.
  await poll(service);
  await request(jane.id);
  await poll(service);
  await service.untilDone();
  expect([rows('customers').length, rows('inventory').length, rows('data').length]).toEqual([
    ...[1, 13, 2],
  ]);
  const { delivery } = (await service.ledger.get(
    'analytics',
    (await service.keysOf('delivered')).find((key) => key.startsWith('customer/')) as string,
  )) as { delivery: { target_id: string | null } };
  expect(delivery.target_id).toMatch(/^analytics_customers\.csv, row 1, byte \d+$/);
});

it('goes on in another process where the files are, and cuts what was not committed', async () => {
  const { start, rows, create, folder } = await setUp();
  const first = await start();
  await create('a');
  await poll(first);
  void first.dispatcher.run();
  await first.untilDone();
  await first.stop();
  appendFileSync(join(folder, 'analytics_customers.csv'), 'torn');
  await create('b');
  const second = await start();
  await poll(second);
  void second.dispatcher.run();
  await second.untilDone();
  expect(rows('customers').map((line) => line.split(',')[1])).toEqual(['a', 'b']);
});

it('stops with a file that is not what it was, says so, and loses nothing', async () => {
  const { start, create, folder } = await setUp();
  const first = await start();
  await create('a');
  await poll(first);
  void first.dispatcher.run();
  await first.untilDone();
  await first.stop();
  rmSync(join(folder, 'analytics_customers.csv'));
  const second = await start();
  await create('b');
  await poll(second);
  void second.dispatcher.run();
  await expect
    .poll(() => second.open.checkReadiness().degraded)
    .toContainEqual({
      part: 'files',
      reason: expect.stringMatching(
        /analytics_customers\.csv is not there, and the ledger knows \d+/,
      ),
    });
  expect(second.open.checkReadiness().ready).toBe(true);
  expect(await second.keysOf('pending')).toHaveLength(1);
});
