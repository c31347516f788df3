import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Delivery, deliverySchema, openOnes } from './delivery.ts';
import { readPages } from './pages.ts';
import type { Systems } from './proof.ts';
import type { Stage } from './stage.ts';

/** An attempt that was cut off again and again has waits of a minute behind it. */
const DEADLINE_MS = 240_000;
/** The ends of a flow that are compared from time to time are the same after that long. */
const EXAMINED_MS = 15_000;

/**
 * Resolves with what the service says last: when it says that all is delivered and both ends are right, when all
 * that is left is dead, when no process is left, or at the deadline. Records that it does not know are missing.
 */
export async function untilDelivered(
  ids: string[],
  { systems, alive }: Stage,
  signal: AbortSignal,
): Promise<Map<string, Delivery[]>> {
  const deadline = performance.now() + DEADLINE_MS;
  let deliveries = new Map<string, Delivery[]>();
  let doneAt: number | undefined;
  while (performance.now() < deadline) {
    // A correct service cannot be done before the target has everything; until then, ask less often.
    const isFull = ids.every((id) => systems.effects(id) > 0);
    await sleep(isFull ? 50 : 500, undefined, { signal });
    const service = alive().at(-1);
    if (!service) break;
    const url = await service.listening;
    if (!url) continue;
    deliveries = await readDeliveries(url, signal).catch(() => deliveries);
    if (!ids.every((id) => isOver(id, deliveries.get(id) ?? []))) {
      doneAt = undefined;
      continue;
    }
    doneAt ??= performance.now();
    const isRight = (await systems.examine?.(deliveries)) ?? true;
    if (isRight || performance.now() - doneAt > EXAMINED_MS) break;
  }
  return deliveries;

  function isOver(id: string, own: Delivery[]): boolean {
    const areOver = own.length > 0 && openOnes(own).every(({ status }) => status === 'dead');
    return areOver || mayEnd(systems, id, own);
  }
}

/** Whether it is right that these are the deliveries of a record in the end. */
export function mayEnd({ mayEndWith }: Systems, id: string, own: Delivery[]): boolean {
  return (own.length > 0 && openOnes(own).length === 0) || (mayEndWith?.(id, own) ?? false);
}

/** By record, in the order in which they were ingested. */
async function readDeliveries(service: string, signal: AbortSignal) {
  const rows = await readPages(new URL('/deliveries?limit=1000', service), signal);
  return Map.groupBy(z.array(deliverySchema).parse(rows), ({ lane }) => lane);
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
