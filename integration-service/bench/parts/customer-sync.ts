import { closeSync, fdatasyncSync, mkdtempDisposableSync, openSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../prove/free-port.ts';
import { answerJson, createStandIn } from '../../prove/systems/stand-in.ts';
import { type BenchOptions, type Figure, median, percentile } from '../figures.ts';
import { load } from '../http-load.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';

const CONNECTIONS = 32;
const CUSTOMERS = 10_000;
const DRAINED_WITHIN_MS = 10 * 60_000;
const PATH = '/api/customers';
const requests = (method: string, route: string, status: number) =>
  `http_request_duration_seconds_count{method="${method}",route="${route}",status_code="${status}"}`;
const WRITTEN = requests('PUT', '/api/crm/customers/:id', 201);
const REQUESTED = requests('POST', '/package-requests', 201);

/**
 * Creates by the customer API, each of them durable, while the CRM is away, in alternation with a bare Fastify
 * that inserts as many rows into a SQLite file of the same mode; then the drain of all of them into the CRM, in
 * alternation with the drain of as many welcome packages.
 */
export async function* benchCustomerSync({ runs, max }: BenchOptions): AsyncGenerator<Figure> {
  const count = Math.min(CUSTOMERS, max);
  if (count === 0) return;
  const results = await Array.fromAsync({ length: runs }, async () => {
    await using bare = await startScript('bare-server.ts', 'rows');
    const limit = await create(bare, count);
    return { limit, ...(await run('customer-sync', count)) };
  });
  const all = await run('welcome-package,customer-sync', count);
  const many = count.toLocaleString('en');
  const valuesOf = (key: keyof (typeof results)[number]) => results.map((result) => result[key]);
  yield {
    ...{ what: `${many} creates by the API`, unit: '/s', values: valuesOf('created') },
    ...{ limits: valuesOf('limit'), target: 'ratio 0.7' },
  };
  yield {
    ...{ what: `drain of ${many} into the CRM`, unit: '/s', values: valuesOf('drained') },
    ...{ limits: valuesOf('packages'), target: 'ratio 0.9' },
  };
  yield* benchLatency(runs);
  yield { what: 'the same creates, with all flows', unit: '/s', values: [all.created] };
  yield { what: 'the same drain, with all flows', unit: '/s', values: [all.drained] };
}

/** One run with these flows; all figures are per second. */
async function run(flows: string, count: number) {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  const port = await freePort();
  await using inventory = await startService('inventory-api');
  const env = {
    FLOWS: flows,
    CRM_API_PORT: String(port),
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
    LEDGER_URL: `sqlite:${join(folder.path, 'ledger.sqlite')}`,
    POLLING_INTERVAL_SECONDS: '0.1',
  };
  await using service = await startService('integration-service', env);
  const created = await create(service, count);
  await using crm = await startService('crm-api', { CRM_API_PORT: String(port) });
  const drained = await rateOf(crm, WRITTEN, count);
  using packagesFolder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  await using others = await startService('inventory-api');
  await using _packages = await startService('integration-service', {
    ...{ ...env, FLOWS: 'welcome-package', CRM_API_URL: `${crm.url}/customers` },
    INVENTORY_API_URL: `${others.url}/package-requests`,
    LEDGER_URL: `sqlite:${join(packagesFolder.path, 'ledger.sqlite')}`,
  });
  return { created, drained, packages: await rateOf(others, REQUESTED, count) };
}

/** The time from a create to its arrival in the CRM, at 50 a second, and how long the disk takes for one write. */
async function* benchLatency(runs: number): AsyncGenerator<Figure> {
  const measured = await Array.fromAsync({ length: runs }, async () => {
    return { writeMs: median(measureWrites()), latenciesMs: await measureLatency() };
  });
  const writes = measured.map(({ writeMs }) => writeMs);
  const medians = measured.map(({ latenciesMs }) => median(latenciesMs));
  const p99s = measured.map(({ latenciesMs }) => percentile(latenciesMs, 0.99));
  const what = 'created to in the CRM, at 50 a second';
  yield {
    what: `${what}, median; limit: one fdatasync`,
    unit: 'ms',
    values: medians,
    limits: writes,
  };
  yield { what: `${what}, p99`, unit: 'ms', values: p99s, target: 'under 50 ms' };
}

const LATENCY = { count: 500, everyMs: 20 };

async function measureLatency(): Promise<number[]> {
  const arrivals = new Map<string, number>();
  using crm = await createStandIn(async (request, response) => {
    if (request.method === 'GET') return answerJson(response, 200, []);
    const customer = (await json(request)) as { email: string };
    arrivals.set(customer.email, performance.now());
    answerJson(response, 201, customer);
  });
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  await using service = await startService('integration-service', {
    ...{ FLOWS: 'customer-sync', CUSTOMER_SYNC_URL: `${crm.origin}/customers` },
    LEDGER_URL: `sqlite:${join(folder.path, 'ledger.sqlite')}`,
  });
  await service.untilReady();
  const begun = new Map<string, number>();
  const beginning = performance.now();
  const calls = Array.from({ length: LATENCY.count }, async (_, i) => {
    await sleep(Math.max(1, beginning + i * LATENCY.everyMs - performance.now()));
    const email = `jane${made++}@example.com`;
    begun.set(email, performance.now());
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ name: 'Jane Doe', email });
    await (await fetch(`${service.url}${PATH}`, { method: 'POST', headers, body })).arrayBuffer();
  });
  await Promise.all(calls);
  while (arrivals.size < LATENCY.count) await sleep(20);
  return [...begun].map(([email, at]) => (arrivals.get(email) as number) - at);
}

function measureWrites(): number[] {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  const file = openSync(join(folder.path, 'file'), 'w');
  const durations = Array.from({ length: 100 }, () => {
    const startedAt = performance.now();
    writeSync(file, Buffer.alloc(4_096));
    fdatasyncSync(file);
    return performance.now() - startedAt;
  });
  closeSync(file);
  return durations;
}

let made = 0;

async function create({ port }: RunningServer, count: number): Promise<number> {
  const body = () => `{"name":"Jane Doe","email":"jane${made++}@example.com"}`;
  const options = { port, method: 'POST', path: PATH, body, count } as const;
  return (await load({ ...options, connections: CONNECTIONS })).perSecond;
}

/** How many requests per second a server has answered, from the first until it has answered so many. */
async function rateOf(server: RunningServer, line: string, count: number): Promise<number> {
  let first: { at: number; answered: number } | undefined;
  const giveUpAt = performance.now() + DRAINED_WITHIN_MS;
  for (;;) {
    const answered = (await server.metric(line)) || 0;
    if (answered > 0) first ??= { at: performance.now(), answered };
    if (first && answered >= count) {
      return ((answered - first.answered) * 1_000) / (performance.now() - first.at);
    }
    if (performance.now() > giveUpAt) throw new Error(`Only ${answered} of ${count} arrived.`);
    await sleep(20);
  }
}
