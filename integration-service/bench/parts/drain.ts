import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure } from '../figures.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';
import { create } from './creates.ts';

const CONCURRENCY = 16;
const POSTS = 'http_request_duration_seconds_count{method="POST",route="/package-requests",status_code="201"}';

/** New customers to package requests, in turn with undici alone posting as many to the same inventory-api. */
export async function* benchDrain({ runs, sizes }: { runs: number; sizes: number[] }): AsyncGenerator<Figure> {
  for (const size of sizes) {
    await using crm = await startService('crm-api');
    await create(crm, 0, size);
    const values: number[] = [];
    const limits: number[] = [];
    const lags: number[] = [];
    const peaks: number[] = [];
    for (let run = 0; run < runs; run++) {
      const result = await drain(crm, size);
      values.push(result.perSecond);
      lags.push(result.lagMs);
      peaks.push(result.peakBytes / 1e6);
      limits.push(await postAlone(size));
    }
    const what = `drain of ${size.toLocaleString('en')}`;
    yield { what, unit: '/s', values, limits, target: 'ratio 0.6' };
    yield { what: `event loop while draining ${size.toLocaleString('en')}, p99`, unit: 'ms', values: lags, target: size < 1e6 ? 'under 50 ms' : 'under 100 ms' };
    yield { what: `memory of a first run over ${size.toLocaleString('en')}, peak`, unit: 'MB', values: peaks, target: 'under 256 MB' };
  }
}

async function drain(crm: RunningServer, size: number) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    await using inventory = await startService('inventory-api');
    await using service = await startService('integration-service', {
      CRM_API_URL: `${crm.url}/customers`,
      INVENTORY_API_URL: `${inventory.url}/package-requests`,
      LEDGER_URL: `sqlite:${join(folder, 'ledger.sqlite')}`,
      DELIVERY_CONCURRENCY: String(CONCURRENCY),
      REQUEST_TIMEOUT_SECONDS: '60',
    });
    while ((await inventory.metric(POSTS)) < size || Number.isNaN(await inventory.metric(POSTS))) await sleep(100);
    const lagMs = (await service.metric('nodejs_eventloop_lag_p99_seconds')) * 1_000;
    return { perSecond: await rateOf(inventory, size), lagMs, peakBytes: service.peakBytes() };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function postAlone(size: number): Promise<number> {
  await using inventory = await startService('inventory-api');
  await using _client = await startScript('undici-alone.ts', inventory.url, String(size), String(CONCURRENCY));
  return await rateOf(inventory, size);
}

/** Package requests a second, from the first to the last, by the inventory's own account. */
async function rateOf(inventory: RunningServer, size: number): Promise<number> {
  const requests = (await (await fetch(`${inventory.url}/package-requests`)).json()) as { created_at: string }[];
  if (requests.length !== size) throw new Error(`${requests.length} package requests for ${size} customers`);
  const [first, last] = [requests[0], requests.at(-1)].map((each) => Date.parse(each?.created_at ?? ''));
  return (size * 1_000) / ((last ?? 0) - (first ?? 0));
}
