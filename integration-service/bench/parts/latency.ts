import { once } from 'node:events';
import { mkdtempDisposableSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { freePort } from '../../prove/free-port.ts';
import { type Figure, percentile } from '../figures.ts';
import { startService } from '../processes.ts';

const CUSTOMERS = 1_000;
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/**
 * How the service learns of a customer: the environment of crm-api and integration-service, and the log
 * line after which a customer can be created.
 */
interface Source {
  name: string;
  env(servicePort: number): NodeJS.ProcessEnv;
  readyWhen: string;
}

const POLLED = 'Polling cycle finished';

const POLL: Source = {
  name: 'polling every 20 ms',
  env: () => ({ POLLING_INTERVAL_SECONDS: '0.02' }),
  readyWhen: POLLED,
};

const WEBHOOK: Source = {
  name: 'by webhook',
  env: (port) => ({
    CRM_EVENTS_URL: `http://127.0.0.1:${port}/webhooks/customers`,
    WEBHOOK_SECRET: SECRET,
  }),
  readyWhen: POLLED,
};

const rabbitmq = (url: string): Source => ({
  name: 'by RabbitMQ',
  env: () => ({ CRM_EVENTS_URL: url }),
  readyWhen: 'Connected to RabbitMQ',
});

export interface LatencyOptions {
  runs: number;
  /** A RabbitMQ with a queue that no other program uses, as `amqp://…`. Default: skip that source. */
  rabbitmqUrl?: string | undefined;
}

/** From the CRM's 201 to the inventory's 201, one customer at a time, for each source. */
export async function* benchLatency({ runs, rabbitmqUrl }: LatencyOptions): AsyncGenerator<Figure> {
  for (const source of [POLL, WEBHOOK, ...(rabbitmqUrl ? [rabbitmq(rabbitmqUrl)] : [])]) {
    const medians: number[] = [];
    const p99s: number[] = [];
    for (let run = 0; run < runs; run++) {
      const latenciesMs = await measure(source);
      medians.push(percentile(latenciesMs, 0.5));
      p99s.push(percentile(latenciesMs, 0.99));
    }
    const what = `created to requested, ${source.name}`;
    yield { what: `${what}, median`, unit: 'ms', values: medians };
    yield { what: `${what}, p99`, unit: 'ms', values: p99s, target: 'under 100 ms' };
  }
}

async function measure({ env, readyWhen }: Source): Promise<number[]> {
  const arrivals = new Map<string, PromiseWithResolvers<number>>();
  const arrivalOf = (id: string) => {
    const arrival = arrivals.get(id) ?? Promise.withResolvers<number>();
    arrivals.set(id, arrival);
    return arrival;
  };
  const inventory = createServer(async (request, response) => {
    response.setHeader('content-type', 'application/json');
    if (request.method === 'GET') return void response.end('[]');
    const body = (await json(request)) as { customer_id: string };
    response.writeHead(201).end(JSON.stringify({ ...body, request_id: 'a' }));
    arrivalOf(body.customer_id).resolve(performance.now());
  });
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  inventory.listen(0, '127.0.0.1');
  await once(inventory, 'listening');
  try {
    const port = await freePort();
    const events = env(port);
    await using crm = await startService('crm-api', events);
    await using service = await startService('integration-service', {
      INTEGRATION_SERVICE_PORT: String(port),
      CRM_API_URL: `${crm.url}/customers`,
      INVENTORY_API_URL: `http://127.0.0.1:${(inventory.address() as AddressInfo).port}/`,
      LEDGER_URL: `sqlite:${join(folder.path, 'ledger.sqlite')}`,
      POLLING_INTERVAL_SECONDS: '3600',
      ...events,
    });
    await service.until(readyWhen);
    const latenciesMs: number[] = [];
    for (let i = 0; i < CUSTOMERS; i++) {
      const body = JSON.stringify({ name: 'Jane', email: `jane${i}@example.com` });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${crm.url}/customers`, { method: 'POST', body, headers });
      const { id } = (await response.json()) as { id: string };
      const createdAt = performance.now();
      // An event may be faster than the answer that this program has just read.
      latenciesMs.push(Math.max(0, (await arrivalOf(id).promise) - createdAt));
    }
    return latenciesMs;
  } finally {
    inventory.close();
    inventory.closeAllConnections();
  }
}
