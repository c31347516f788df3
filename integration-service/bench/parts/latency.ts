import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { type Figure, percentile } from '../figures.ts';
import { startService } from '../processes.ts';

const CUSTOMERS = 200;
const INTERVAL_SECONDS = 0.02;

/** From the 201 of the CRM to the 201 of the inventory, one customer at a time. */
export async function* benchLatency({ runs }: { runs: number }): AsyncGenerator<Figure> {
  const medians: number[] = [];
  const p99s: number[] = [];
  for (let run = 0; run < runs; run++) {
    const latenciesMs = await measure();
    medians.push(percentile(latenciesMs, 0.5));
    p99s.push(percentile(latenciesMs, 0.99));
  }
  const what = `created to requested, polling every ${INTERVAL_SECONDS * 1_000} ms`;
  yield { what: `${what}, median`, unit: 'ms', values: medians };
  yield { what: `${what}, p99`, unit: 'ms', values: p99s };
}

async function measure(): Promise<number[]> {
  let arrived = Promise.withResolvers<void>();
  const inventory = createServer(async (request, response) => {
    response.setHeader('content-type', 'application/json');
    if (request.method === 'GET') return void response.end('[]');
    const body = (await json(request)) as object;
    response.writeHead(201).end(JSON.stringify({ ...body, request_id: 'a' }));
    arrived.resolve();
  });
  inventory.listen(0, '127.0.0.1');
  await once(inventory, 'listening');
  try {
    await using crm = await startService('crm-api');
    await using service = await startService('integration-service', {
      CRM_API_URL: `${crm.url}/customers`,
      INVENTORY_API_URL: `http://127.0.0.1:${(inventory.address() as AddressInfo).port}/`,
      LEDGER_URL: 'sqlite::memory:',
      POLLING_INTERVAL_SECONDS: String(INTERVAL_SECONDS),
    });
    await service.until('Polling cycle finished');
    const latenciesMs: number[] = [];
    for (let i = 0; i < CUSTOMERS; i++) {
      arrived = Promise.withResolvers();
      const body = JSON.stringify({ name: 'Jane', email: `jane${i}@example.com` });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${crm.url}/customers`, { method: 'POST', body, headers });
      await response.arrayBuffer();
      const createdAt = performance.now();
      await arrived.promise;
      latenciesMs.push(performance.now() - createdAt);
    }
    return latenciesMs;
  } finally {
    inventory.close();
    inventory.closeAllConnections();
  }
}
