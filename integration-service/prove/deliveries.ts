import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Stage } from './stage.ts';

/** What the service says of a record. */
const deliverySchema = z.object({ lane: z.string(), status: z.string(), updated_at: z.string() });
export type Delivery = z.output<typeof deliverySchema>;

/** An attempt that was cut off again and again has waits of a minute behind it. */
const DEADLINE_MS = 240_000;

/**
 * Resolves with what the service says last: when it says that all is delivered, when all that is left is dead,
 * when no process is left, or at the deadline. Records that it does not know are missing.
 */
export async function untilDelivered(
  ids: string[],
  { systems, alive }: Stage,
  signal: AbortSignal,
): Promise<Map<string, Delivery>> {
  const deadline = performance.now() + DEADLINE_MS;
  let deliveries = new Map<string, Delivery>();
  while (performance.now() < deadline) {
    // A correct service cannot be done before the target has everything; until then, ask less often.
    const isFull = ids.every((id) => systems.effects(id) > 0);
    await sleep(isFull ? 50 : 500, undefined, { signal });
    const service = alive().at(-1);
    if (!service) break;
    const url = await service.listening;
    if (!url) continue;
    deliveries = await readDeliveries(url, signal).catch(() => deliveries);
    const statuses = ids.map((id) => deliveries.get(id)?.status);
    if (statuses.every((status) => status === 'delivered' || status === 'dead')) break;
  }
  return deliveries;
}

/** By record. */
async function readDeliveries(service: string, signal: AbortSignal) {
  const deliveries = new Map<string, Delivery>();
  let url: URL | undefined = new URL('/deliveries?limit=1000', service);
  while (url) {
    const timeout = AbortSignal.timeout(5_000);
    const response: Response = await fetch(url, { signal: AbortSignal.any([signal, timeout]) });
    const page = z.array(deliverySchema).parse(await response.json());
    for (const delivery of page) deliveries.set(delivery.lane, delivery);
    const next = /^<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    url = next ? new URL(next, url) : undefined;
  }
  return deliveries;
}

const EXPLAIN = fileURLToPath(new URL('../src/commands/explain.ts', import.meta.url));

/** What `npm run explain` says of a record. */
export async function explain(id: string, { env }: Stage, signal: AbortSignal): Promise<string> {
  const options = { env: { PATH: process.env.PATH, ...env }, signal };
  const run = promisify(execFile)(process.execPath, [EXPLAIN, id], options);
  // It fails if the ledger does not know the record, and says so.
  return run.then(
    ({ stdout }) => stdout,
    (error: Error & { stdout: string }) => error.stdout || error.message,
  );
}
