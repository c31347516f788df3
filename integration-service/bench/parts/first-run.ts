import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTcpProxy } from '../../prove/systems/tcp-proxy.ts';
import type { BenchOptions, Figure } from '../figures.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';
import { create } from './creates.ts';

/** Numbers of stored customers. */
const SIZES = [0, 10_000, 100_000, 1_000_000];
const CONCURRENCY = 16;
const POLLING_INTERVAL_SECONDS = 0.1;
const IDLE_MS = 10_000;
const CREATED =
  'http_request_duration_seconds_count{method="POST",route="/package-requests",status_code="201"}';

/**
 * The first run over a CRM full of customers: how fast they become package requests, in alternation with
 * bare undici that posts as many to the same inventory-api; the resources that integration-service uses
 * for it; and the cost of a poll when all customers are known.
 */
export async function* benchFirstRun(options: BenchOptions): AsyncGenerator<Figure> {
  for (const size of SIZES.filter((size) => size <= options.max)) {
    await using crm = await startService('crm-api');
    if (size > 0) await create(crm, size);
    // A million takes minutes.
    const runs = size >= 1_000_000 ? 1 : options.runs;
    const results = await Array.fromAsync({ length: runs }, async () => ({
      ...(await runFirst(crm, size)),
      limit: size > 0 ? await postAlone(size) : Number.NaN,
    }));
    const figure = (what: string, unit: string, key: keyof Run, target: string): Figure => {
      return { what, unit, values: results.map((result) => result[key]), target };
    };
    const many = size.toLocaleString('en');
    if (size > 0) {
      const lag = size >= 1_000_000 ? 'under 100 ms' : 'under 50 ms';
      const limits = results.map(({ limit }) => limit);
      yield { ...figure(`drain of ${many}`, '/s', 'perSecond', 'ratio 0.6'), limits };
      yield figure('event loop in that time, p99', 'ms', 'lagMs', lag);
      yield figure('memory in that time, peak', 'MB', 'peakMegabytes', 'under 256 MB');
    }
    yield figure(`idle poll with ${many} known, CPU`, 'ms', 'idleCpuMs', 'under 2 ms');
    yield figure(`idle poll with ${many} known, on the wire`, 'B', 'idleBytes', 'under 1,000 B');
  }
}

type Run = Awaited<ReturnType<typeof runFirst>>;

async function runFirst(crm: RunningServer, size: number) {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  await using inventory = await startService('inventory-api');
  const traffic = { requests: 0, bytes: 0 };
  using proxy = await createTcpProxy(new URL(crm.url), (part, bytes) => {
    traffic.bytes += bytes;
    if (part === 'request') traffic.requests += 1;
  });
  await using service = await startService('integration-service', {
    CRM_API_URL: `http://127.0.0.1:${proxy.port}/customers`,
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
    LEDGER_URL: `sqlite:${join(folder.path, 'ledger.sqlite')}`,
    DELIVERY_CONCURRENCY: String(CONCURRENCY),
    POLLING_INTERVAL_SECONDS: String(POLLING_INTERVAL_SECONDS),
    REQUEST_TIMEOUT_SECONDS: '60',
  });
  while (size > 0 && (await inventory.metric(CREATED)) !== size) await sleep(100);
  const lagMs = (await service.metric('nodejs_eventloop_lag_p99_seconds')) * 1_000;
  const peakMegabytes = service.peakBytes() / 1e6;
  const perSecond = size > 0 ? await rateOf(inventory, size) : Number.NaN;
  return { perSecond, lagMs, peakMegabytes, ...(await measureIdle(service, traffic)) };
}

async function measureIdle(service: RunningServer, traffic: { requests: number; bytes: number }) {
  // By then, the first poll, the work for the metrics and the last results are over.
  await sleep(2_000);
  const before = { ...traffic, cpuMs: service.cpuMs() };
  await sleep(IDLE_MS);
  const polls = traffic.requests - before.requests;
  return {
    idleCpuMs: (service.cpuMs() - before.cpuMs) / polls,
    idleBytes: (traffic.bytes - before.bytes) / polls,
  };
}

async function postAlone(size: number): Promise<number> {
  await using inventory = await startService('inventory-api');
  const args = [inventory.url, String(size), String(CONCURRENCY)];
  await using _client = await startScript('undici-alone.ts', ...args);
  return await rateOf(inventory, size);
}

/** Package requests per second, from the first to the last, by the inventory's own timestamps. */
async function rateOf({ url }: RunningServer, size: number): Promise<number> {
  const response = await fetch(`${url}/package-requests`);
  const requests = (await response.json()) as { created_at: string }[];
  const { length } = requests;
  if (length !== size) throw new Error(`${length} requests for ${size} customers`);
  const timeOf = (at: number) => Date.parse(requests.at(at)?.created_at ?? '');
  return (size * 1_000) / (timeOf(-1) - timeOf(0));
}
