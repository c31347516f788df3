import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { parseEnvironment } from 'service-kit/environment';
import { onTestFinished } from 'vitest';
import { buildApp as buildCrm } from '../../../../crm-api/src/app.ts';
import { buildApp as buildInventory } from '../../../../inventory-api/src/app.ts';
import { splitLines } from '../../../src/analytics/csv.ts';
import { analyticsEnvironment } from '../../../src/analytics/environment.ts';
import { createFlow } from '../../../src/analytics/flow.ts';
import { analyticsMigrations } from '../../../src/analytics/migrations.ts';
import { type LEDGER_KINDS, newLocation, temporaryFolder } from '../../ledgers.ts';
import { setUpService } from '../../support.ts';

const log = pino({ level: 'silent' });

/** crm-api and inventory-api on loopback, and the flow, whose clocks the test moves. */
export async function setUp(kind: (typeof LEDGER_KINDS)[number] = 'sqlite') {
  const folder = temporaryFolder();
  const location = await newLocation(kind);
  const [crm, inventory] = [await buildCrm({ log }), await buildInventory({ log })];
  const origins = await Promise.all(
    [crm, inventory].map((app) => app.listen({ host: '127.0.0.1', port: 0 })),
  );
  onTestFinished(async () => {
    await Promise.all([crm.close(), inventory.close()]);
  });
  const env = {
    ANALYTICS_FOLDER: folder,
    CRM_API_URL: `${origins[0]}/customers`,
    INVENTORY_API_URL: `${origins[1]}/package-requests`,
    ANALYTICS_PRODUCTS_URL: `${origins[1]}/products`,
    ANALYTICS_BATCH_SECONDS: '0',
  };
  const settings = parseEnvironment(analyticsEnvironment, env);
  const start = () =>
    setUpService({
      ledger: location,
      flowMigrations: analyticsMigrations,
      createFlow: (parts) => createFlow(settings, parts),
    });
  const post = async (app: typeof crm, url: string, payload: object) =>
    (await app.inject({ method: 'POST', url, payload })).json();
  return {
    ...{ folder, location, env, start },
    /** The rows of a file, without its header. */
    rows: (name: string) =>
      [...splitLines(readFileSync(join(folder, `analytics_${name}.csv`), 'utf8'))].slice(1),
    create: (name: string) =>
      post(crm, '/customers', {
        name,
        email: `${name.replaceAll(/\W+/g, '.').replaceAll(/^\.|\.$/g, '')}@example.com`,
      }),
    request: (customer_id: string) => post(inventory, '/package-requests', { customer_id }),
  };
}

export type Service = Awaited<ReturnType<Awaited<ReturnType<typeof setUp>>['start']>>;

export async function poll({ open }: Service): Promise<void> {
  for (const poller of open.pollers) await poller.runCycle();
}
