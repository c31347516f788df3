import type { BenchOptions, Figure } from '../figures.ts';
import { load } from '../http-load.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';

const CONNECTIONS = 32;
/** Numbers of stored customers. */
const SIZES = [0, 10_000, 100_000, 1_000_000];

/** Adds customers with different addresses to a CRM; returns how many per second. */
export async function create(server: RunningServer, from: number, count: number): Promise<number> {
  const body = (i: number) => `{"name":"Jane Doe","email":"jane${from + i}@example.com"}`;
  const options = { port: server.port, method: 'POST', path: '/customers' } as const;
  return (await load({ ...options, body, count, connections: CONNECTIONS })).perSecond;
}

/**
 * Creates per second with a growing number of stored customers, in alternation with a bare Fastify that
 * stores as many.
 */
export async function* benchCreates({ runs, max }: BenchOptions): AsyncGenerator<Figure> {
  await using crm = await startService('crm-api');
  await using bare = await startScript('bare-server.ts', 'creates');
  const servers = [crm, bare];
  const batch = 20_000;
  let stored = 0;
  for (const server of servers) await create(server, stored, batch);
  stored += batch;
  for (const size of SIZES.filter((size) => size <= max)) {
    if (size > stored) {
      for (const server of servers) await create(server, stored, size - stored);
      stored = size;
    }
    const values: number[] = [];
    const limits: number[] = [];
    for (let run = 0; run < runs; run++) {
      values.push(await create(crm, stored, batch));
      limits.push(await create(bare, stored, batch));
      stored += batch;
    }
    const what = `creates with ${size.toLocaleString('en')} stored`;
    yield { what, unit: '/s', values, limits, target: 'ratio 0.85' };
  }
}
