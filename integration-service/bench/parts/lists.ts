import { type BenchOptions, type Figure, percentile } from '../figures.ts';
import { load } from '../http-load.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';
import { create } from './creates.ts';

/** Runs that do not count. */
const WARM_UP = 1;

/**
 * Whole lists, in alternation with node:http that sends as many bytes; and their effect on other requests.
 */
export async function* benchLists({ runs, max }: BenchOptions): AsyncGenerator<Figure> {
  await using crm = await startService('crm-api');
  let stored = 0;
  for (const size of [1_000, 100_000].filter((size) => size <= max)) {
    await create(crm, size - stored);
    stored = size;
    const bytes = (await (await fetch(`${crm.url}/customers`)).arrayBuffer()).byteLength;
    await using bare = await startScript('bare-server.ts', 'bytes', String(bytes));
    const get = { method: 'GET', path: '/customers', connections: 2 } as const;
    const count = Math.max(20, Math.min(20_000, Math.round(4e9 / bytes / 10)));
    const [, ...pairs] = await Array.fromAsync({ length: WARM_UP + runs }, async () => ({
      ours: await load({ ...get, port: crm.port, count }),
      bare: await load({ ...get, port: bare.port, count }),
    }));
    const values = pairs.map(({ ours }) => ours.perSecond);
    const limits = pairs.map(({ bare }) => bare.perSecond);
    const what = `list of ${size.toLocaleString('en')}, ${(bytes / 1e6).toFixed(1)} MB`;
    yield { what, unit: '/s', values, limits, target: size >= 100_000 ? 'ratio 0.8' : '' };
    yield await benchNotModified(crm, size, runs);
    if (size >= 100_000) yield await benchOthers(crm, size, runs);
  }
}

async function benchNotModified({ url }: RunningServer, size: number, runs: number) {
  const { headers } = await fetch(`${url}/customers`, { method: 'HEAD' });
  const ifNoneMatch = String(headers.get('etag'));
  const [, ...values] = await Array.fromAsync({ length: WARM_UP + runs }, async () => {
    const startedAt = performance.now();
    for (let i = 0; i < 1_000; i++) {
      const response = await fetch(`${url}/customers`, {
        headers: { 'if-none-match': ifNoneMatch },
      });
      if (response.status !== 304) throw new Error(`not modified, but ${response.status}`);
    }
    return (performance.now() - startedAt) / 1_000;
  });
  return { what: `the same, not modified (${size.toLocaleString('en')})`, unit: 'ms', values };
}

/** The duration of a small request while a long list is read again and again. */
async function benchOthers({ port }: RunningServer, size: number, runs: number) {
  const get = { port, method: 'GET', connections: 1 } as const;
  const values = await Array.fromAsync({ length: runs }, async () => {
    let isOver = false;
    const reading = (async () => {
      while (!isOver) await load({ ...get, path: '/customers', count: 1 });
    })();
    const { latenciesMs } = await load({ ...get, path: '/healthz', count: 2_000 });
    isOver = true;
    await reading;
    return percentile(latenciesMs, 0.99);
  });
  const what = `p99 of another request while a list of ${size.toLocaleString('en')} is read in a loop`;
  return { what, unit: 'ms', values, target: 'under 50 ms' };
}
