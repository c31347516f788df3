import { type BenchOptions, type Figure, percentile } from '../figures.ts';
import { load } from '../http-load.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';
import { create } from './creates.ts';

/**
 * Whole lists, in alternation with node:http that sends as many bytes; and their effect on other requests.
 */
export async function* benchLists({ runs, max }: BenchOptions): AsyncGenerator<Figure> {
  await using crm = await startService('crm-api');
  let stored = 0;
  for (const size of [1_000, 100_000].filter((size) => size <= max)) {
    await create(crm, stored, size - stored);
    stored = size;
    const bytes = (await (await fetch(`${crm.url}/customers`)).arrayBuffer()).byteLength;
    await using bare = await startScript('bare-server.ts', 'bytes', String(bytes));
    const get = { method: 'GET', path: '/customers', connections: 2 } as const;
    const count = Math.max(20, Math.min(20_000, Math.round(4e9 / bytes / 10)));
    const values: number[] = [];
    const limits: number[] = [];
    for (let run = 0; run <= runs; run++) {
      const ours = await load({ ...get, port: crm.port, count });
      const limit = await load({ ...get, port: bare.port, count });
      // The first run is a warm-up.
      if (run > 0) values.push(ours.perSecond);
      if (run > 0) limits.push(limit.perSecond);
    }
    const what = `list of ${size.toLocaleString('en')}, ${(bytes / 1e6).toFixed(1)} MB`;
    yield { what, unit: '/s', values, limits, target: size >= 100_000 ? 'ratio 0.8' : '' };
    yield await benchNotModified(crm, size, runs);
    if (size >= 100_000) yield await benchOthers(crm, size, runs);
  }
}

async function benchNotModified({ url }: RunningServer, size: number, runs: number) {
  const { headers } = await fetch(`${url}/customers`, { method: 'HEAD' });
  const ifNoneMatch = String(headers.get('etag'));
  const values: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const startedAt = performance.now();
    for (let i = 0; i < 1_000; i++) {
      const response = await fetch(`${url}/customers`, {
        headers: { 'if-none-match': ifNoneMatch },
      });
      if (response.status !== 304) throw new Error(`not modified, but ${response.status}`);
    }
    if (run > 0) values.push((performance.now() - startedAt) / 1_000);
  }
  return { what: `the same, not modified (${size.toLocaleString('en')})`, unit: 'ms', values };
}

/** The duration of a small request while a long list is read again and again. */
async function benchOthers({ port }: RunningServer, size: number, runs: number) {
  const values: number[] = [];
  for (let run = 0; run < runs; run++) {
    let isOver = false;
    const reading = (async () => {
      while (!isOver)
        await load({ port, method: 'GET', path: '/customers', connections: 1, count: 1 });
    })();
    const get = { port, method: 'GET', path: '/healthz', connections: 1, count: 2_000 } as const;
    values.push(percentile((await load(get)).latenciesMs, 0.99));
    isOver = true;
    await reading;
  }
  const what = `p99 of another request while a list of ${size.toLocaleString('en')} is read in a loop`;
  return { what, unit: 'ms', values, target: 'under 50 ms' };
}
