import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCountingProxy } from '../counting-proxy.ts';
import type { BenchOptions, Figure } from '../figures.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';
import { create } from './creates.ts';

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
  for (const size of options.sizes) {
    await using crm = await startService('crm-api');
    if (size > 0) await create(crm, 0, size);
    // A million takes minutes.
    const runs = size >= 1_000_000 ? 1 : options.runs;
    const results = [];
    const limits: number[] = [];
    for (let run = 0; run < runs; run++) {
      results.push(await runFirst(crm, size));
      if (size > 0) limits.push(await postAlone(size));
    }
    const many = size.toLocaleString('en');
    if (size > 0) {
      yield {
        what: `drain of ${many}`,
        unit: '/s',
        values: results.map(({ perSecond }) => perSecond),
        limits,
        target: 'ratio 0.6',
      };
      yield {
        what: `event loop in that time, p99`,
        unit: 'ms',
        values: results.map(({ lagMs }) => lagMs),
        target: size >= 1_000_000 ? 'under 100 ms' : 'under 50 ms',
      };
      yield {
        what: `memory in that time, peak`,
        unit: 'MB',
        values: results.map(({ peakBytes }) => peakBytes / 1e6),
        target: 'under 256 MB',
      };
    }
    yield {
      what: `idle poll with ${many} known, CPU`,
      unit: 'ms',
      values: results.map(({ idleCpuMs }) => idleCpuMs),
      target: 'under 2 ms',
    };
    yield {
      what: `idle poll with ${many} known, on the wire`,
      unit: 'B',
      values: results.map(({ idleBytes }) => idleBytes),
      target: 'under 1,000 B',
    };
  }
}

async function runFirst(crm: RunningServer, size: number) {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'bench-'));
  await using inventory = await startService('inventory-api');
  await using proxy = await startCountingProxy(crm.port);
  await using service = await startService('integration-service', {
    CRM_API_URL: `${proxy.url}/customers`,
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
    LEDGER_URL: `sqlite:${join(folder.path, 'ledger.sqlite')}`,
    DELIVERY_CONCURRENCY: String(CONCURRENCY),
    POLLING_INTERVAL_SECONDS: String(POLLING_INTERVAL_SECONDS),
    REQUEST_TIMEOUT_SECONDS: '60',
  });
  await service.until('Polling cycle finished');
  while (size > 0 && (await inventory.metric(CREATED)) !== size) await sleep(100);
  const lagMs = (await service.metric('nodejs_eventloop_lag_p99_seconds')) * 1_000;
  const peakBytes = service.peakBytes();
  const perSecond = size > 0 ? await rateOf(inventory, size) : Number.NaN;
  return { perSecond, lagMs, peakBytes, ...(await measureIdle(service, proxy.counts)) };
}

async function measureIdle(
  service: RunningServer,
  counts: { bytes: number; requests: number },
): Promise<{ idleCpuMs: number; idleBytes: number }> {
  // By then, the work for the metrics and the last results is over.
  await sleep(2_000);
  const before = { ...counts, cpuMs: service.cpuMs() };
  await sleep(IDLE_MS);
  const polls = counts.requests - before.requests;
  return {
    idleCpuMs: (service.cpuMs() - before.cpuMs) / polls,
    idleBytes: (counts.bytes - before.bytes) / polls,
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
  const requests = (await (await fetch(`${url}/package-requests`)).json()) as {
    created_at: string;
  }[];
  if (requests.length !== size)
    throw new Error(`${requests.length} requests for ${size} customers`);
  const times = [requests[0], requests.at(-1)].map((each) => Date.parse(each?.created_at ?? ''));
  return (size * 1_000) / ((times[1] ?? 0) - (times[0] ?? 0));
}
