import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { freePort } from '../../prove/free-port.ts';
import { answerJson, createStandIn } from '../../prove/systems/stand-in.ts';
import { type BenchOptions, type Figure, median, percentile } from '../figures.ts';
import { startService } from '../processes.ts';

const CUSTOMERS = 1_000;
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/** The environment of crm-api and integration-service for each way in which the service learns of a customer. */
function environments(port: number, rabbitmqUrl: string | undefined) {
  const webhooks = `http://127.0.0.1:${port}/webhooks/customers`;
  return {
    'polling every 20 ms': { POLLING_INTERVAL_SECONDS: '0.02' },
    'by webhook': { CRM_EVENTS_URL: webhooks, WEBHOOK_SECRET: SECRET },
    ...(rabbitmqUrl && { 'by RabbitMQ': { CRM_EVENTS_URL: rabbitmqUrl } }),
  };
}

/** From the CRM's 201 to the inventory's 201, one customer at a time, for each source. */
export async function* benchLatency({ runs, rabbitmqUrl }: BenchOptions): AsyncGenerator<Figure> {
  const port = await freePort();
  for (const [source, env] of Object.entries(environments(port, rabbitmqUrl))) {
    const latenciesMs = await Array.fromAsync({ length: runs }, () => measure(port, env));
    const what = `created to requested, ${source}`;
    yield { what: `${what}, median`, unit: 'ms', values: latenciesMs.map(median) };
    const p99s = latenciesMs.map((each) => percentile(each, 0.99));
    yield { what: `${what}, p99`, unit: 'ms', values: p99s, target: 'under 100 ms' };
  }
}

async function measure(port: number, env: Record<string, string>): Promise<number[]> {
  const arrivals = new Map<string, PromiseWithResolvers<number>>();
  const arrivalOf = (id: string) =>
    arrivals.getOrInsertComputed(id, () => Promise.withResolvers<number>());
  using inventory = await createStandIn(async (request, response) => {
    if (request.method === 'GET') return answerJson(response, 200, []);
    const body = (await json(request)) as { customer_id: string };
    answerJson(response, 201, { ...body, request_id: 'a' });
    arrivalOf(body.customer_id).resolve(performance.now());
  });
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  await using crm = await startService('crm-api', env);
  await using service = await startService('integration-service', {
    INTEGRATION_SERVICE_PORT: String(port),
    CRM_API_URL: `${crm.url}/customers`,
    INVENTORY_API_URL: `${inventory.origin}/`,
    LEDGER_URL: `sqlite:${join(folder.path, 'ledger.sqlite')}`,
    POLLING_INTERVAL_SECONDS: '3600',
    ...env,
  });
  await service.untilReady();
  return await Array.fromAsync({ length: CUSTOMERS }, async (_, i) => {
    const body = JSON.stringify({ name: 'Jane', email: `jane${i}@example.com` });
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${crm.url}/customers`, { method: 'POST', body, headers });
    const { id } = (await response.json()) as { id: string };
    const createdAt = performance.now();
    // An event may be faster than the answer that this program has just read.
    return Math.max(0, (await arrivalOf(id).promise) - createdAt);
  });
}
