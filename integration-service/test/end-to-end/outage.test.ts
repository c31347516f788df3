import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { packageRequest, startHttpServer } from '../support.ts';
import { freePort, startService } from './processes.ts';

const { CUSTOMERS = 1_000, PROBES = 2 } = process.env;
const COUNT = Number(CUSTOMERS);
const customers = JSON.stringify(Array.from({ length: COUNT }, (_, i) => ({ id: `${i}` })));

/** An inventory that fails in the given way while `isDown`, and counts the calls. */
async function startInventory(isDown: () => boolean, fail: 'says 503' | 'hangs') {
  const stored: string[] = [];
  let calls = 0;
  const url = await startHttpServer(async (request, response) => {
    calls += 1;
    // Reads succeed all the time: that must not be taken for the end of the outage.
    if (request.method === 'GET') {
      return response.end(JSON.stringify(stored.map((id) => packageRequest(id))));
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    if (isDown()) {
      if (fail === 'says 503') response.writeHead(503).end();
      return;
    }
    const { customer_id } = JSON.parse(body);
    stored.push(customer_id);
    response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
  });
  return { url, stored, calls: () => calls };
}

/** Customers arrive while the inventory is down; returns how often it was called meanwhile. */
async function runOutage(fail: 'says 503' | 'hangs'): Promise<number> {
  let isDown = true;
  const crmUrl = await startHttpServer((_request, response) => response.end(customers));
  const { url, stored, calls } = await startInventory(() => isDown, fail);
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: url,
    REQUEST_TIMEOUT_SECONDS: '2',
  });
  // About 16 calls that were under way, and probes after 2, 4, 8, 16 and 30 s.
  await service.until(/Failed to create package request/, 16 + Number(PROBES));
  const called = calls();
  isDown = false;
  await service.until(/The inventory answers again/);
  await expect.poll(() => new Set(stored).size).toBe(COUNT);
  expect(stored).toHaveLength(COUNT);
  return called;
}

it('many customers wait without a storm while the inventory fails, and get one package each when it answers', async () => {
  const calls = await Promise.all([runOutage('says 503'), runOutage('hangs')]);
  for (const count of calls) expect(count).toBeLessThan(40);
});

async function totalOf(url: string) {
  const response = await fetch(`${url}/deliveries`);
  const deliveries = (await response.json()) as { attempts: number }[];
  return { deliveries, attempts: deliveries.reduce((sum, each) => sum + each.attempts, 0) };
}

it('an inventory that is not there uses no attempts up, however long it is away', async () => {
  const port = await freePort();
  let listed = '[]';
  const crmUrl = await startHttpServer((_request, response) => response.end(listed));
  const seed = createServer((_request, response) => response.end('[]')).listen(
    Number(port),
    '127.0.0.1',
  );
  await once(seed, 'listening');
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: `http://127.0.0.1:${port}/`,
    MAX_ATTEMPTS: '2',
    POLLING_INTERVAL_SECONDS: '0.1',
  });
  await service.until(/None of it is sent again/);
  seed.close();
  seed.closeAllConnections();
  listed = JSON.stringify(['a', 'b', 'c', 'd', 'e'].map((id) => ({ id })));
  // All five at once, which opens the breaker, and then two probes.
  await service.until(/The inventory failed 5 times in a row/);
  await service.until(/Failed to create package request/, 5 + 2);
  const waiting = expect.objectContaining({
    ...{ status: 'pending', last_error: expect.stringContaining('ECONNREFUSED') },
  });
  // A failure is logged before its result is written.
  await expect
    .poll(() => totalOf(service.url))
    .toEqual(expect.objectContaining({ attempts: 7, deliveries: Array(5).fill(waiting) }));
});
