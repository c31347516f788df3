import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { packageRequest, startHttpServer } from '../support.ts';
import { freePort, startService } from './processes.ts';

const COUNT = 10_000;
const customers = JSON.stringify(Array.from({ length: COUNT }, (_, i) => ({ id: `${i}` })));

/**
 * An inventory that is down in its own way until it is told otherwise, and counts what came meanwhile.
 */
async function startInventory(isDown: () => boolean, fail: 'says 503' | 'hangs') {
  const stored: string[] = [];
  let calls = 0;
  const url = await startHttpServer(async (request, response) => {
    if (request.method === 'GET' && (!isDown() || stored.length === 0)) {
      return response.end(JSON.stringify(stored.map((id) => packageRequest(id))));
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    if (isDown()) {
      calls += 1;
      if (fail === 'says 503') response.writeHead(503).end();
      return;
    }
    const { customer_id } = JSON.parse(body);
    stored.push(customer_id);
    response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
  });
  return { url, stored, calls: () => calls };
}

it.each(['says 503', 'hangs'] as const)(
  '10,000 customers wait without a storm while the inventory %s, and get one package each when it answers',
  async (fail) => {
    let isDown = true;
    const crmUrl = await startHttpServer((_request, response) => response.end(customers));
    const { url, stored, calls } = await startInventory(() => isDown, fail);
    const service = await startService('integration-service', {
      CRM_API_URL: crmUrl,
      INVENTORY_API_URL: url,
      REQUEST_TIMEOUT_SECONDS: '2',
    });
    await service.until(/The inventory failed 5 times in a row/);
    // Two more probes: at 2 s and 4 s after, or later.
    await service.until(/Failed to create package request|Could not ask/, 18);
    // The 16 that were under way, and one a probe.
    expect(calls()).toBeLessThanOrEqual(20);
    isDown = false;
    await service.until(/The inventory answers again/);
    await service.until(/Successfully created package request/, COUNT - 20);
    await expect.poll(() => new Set(stored).size, { timeout: 30_000 }).toBe(COUNT);
    expect(stored).toHaveLength(COUNT);
  },
);

it('an inventory that is not there costs no attempts, however long it is away', async () => {
  const port = await freePort();
  const crmUrl = await startHttpServer((_request, response) => response.end('[{"id":"a"}]'));
  const seed = createServer((_request, response) => response.end('[]')).listen(
    Number(port),
    '127.0.0.1',
  );
  await once(seed, 'listening');
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: `http://127.0.0.1:${port}/`,
    MAX_ATTEMPTS: '7',
    SURGE_LIMIT: '1',
  });
  await service.until(/Nothing of it is sent again/);
  seed.close();
  seed.closeAllConnections();
  await service.until(/The inventory failed 5 times in a row/);
  await service.until(/Failed to create package request/, 7);
  expect(await (await fetch(`${service.url}/deliveries`)).json()).toMatchObject([
    { status: 'pending', attempts: 5, last_error: expect.stringContaining('ECONNREFUSED') },
  ]);
});
