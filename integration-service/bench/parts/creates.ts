import type { BenchOptions, Figure } from '../figures.ts';
import { load } from '../http-load.ts';
import { type RunningServer, startScript, startService } from '../processes.ts';

const CONNECTIONS = 32;
const BATCH = 20_000;
/** Numbers of stored customers. */
const SIZES = [0, 10_000, 100_000, 1_000_000];

let created = 0;

/** Adds customers with new addresses to a CRM; returns how many per second. */
export async function create(server: RunningServer, count: number): Promise<number> {
  const body = () => `{"name":"Jane Doe","email":"jane${created++}@example.com"}`;
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
  let stored = 0;
  const createInBoth = async (count: number) => {
    stored += count;
    return { value: await create(crm, count), limit: await create(bare, count) };
  };
  await createInBoth(BATCH);
  for (const size of SIZES.filter((size) => size <= max)) {
    if (size > stored) await createInBoth(size - stored);
    const pairs = await Array.fromAsync({ length: runs }, () => createInBoth(BATCH));
    const what = `creates with ${size.toLocaleString('en')} stored`;
    const values = pairs.map(({ value }) => value);
    const limits = pairs.map(({ limit }) => limit);
    yield { what, unit: '/s', values, limits, target: 'ratio 0.85' };
  }
}
