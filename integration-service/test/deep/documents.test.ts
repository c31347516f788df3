import { expect, it } from 'vitest';
import { type ServiceName, startService } from '../end-to-end/processes.ts';
import { SECRET } from '../webhooks.ts';
import { startFront } from './front.ts';
import { findSchemathesis, fuzz } from './fuzzer.ts';

const schemathesis = await findSchemathesis();
if (!schemathesis) {
  process.stderr.write(
    'SKIPPED: python3 is missing, with which the APIs are compared with their documents.\n',
  );
}

const ADMIN_TOKEN = 'a-token-of-more-than-32-characters';

interface Case {
  service: ServiceName;
  env?: Record<string, string>;
  headers?: Record<string, string>;
}

/**
 * Starts a CRM and an inventory with some customers each; returns the environment for an integration
 * service.
 */
async function startSystems(): Promise<Record<string, string>> {
  const [crm, inventory] = await Promise.all([
    startService('crm-api'),
    startService('inventory-api'),
  ]);
  for (const name of ['a', 'b', 'c']) {
    const body = JSON.stringify({ name, email: `${name}@example.org` });
    await fetch(`${crm.url}/customers`, { method: 'POST', body });
  }
  return {
    CRM_API_URL: `${crm.url}/customers`,
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
  };
}

it.skipIf(!schemathesis).for<[string, Case]>([
  ['crm-api', { service: 'crm-api' }],
  ['inventory-api', { service: 'inventory-api' }],
  ['integration-service', { service: 'integration-service' }],
  [
    'integration-service with a token and webhooks',
    {
      service: 'integration-service',
      env: { ADMIN_TOKEN, WEBHOOK_SECRET: SECRET },
      headers: { Authorization: `Bearer ${ADMIN_TOKEN}` },
    },
  ],
])('%s does what its document says', async ([, { service, env, headers = {} }]) => {
  const systems = service === 'integration-service' ? await startSystems() : {};
  const { url } = await startService(service, { LOG_LEVEL: 'info', ...systems, ...env });
  const front = await startFront(url, SECRET);
  const { passed, report } = await fuzz(schemathesis as string, `${front}/openapi.json`, headers);
  expect(passed, report).toBe(true);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});
