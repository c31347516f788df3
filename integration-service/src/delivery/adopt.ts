import type { Evidence } from './delivery.ts';
import { CHUNK } from './ledger/events.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Target } from './target.ts';

/**
 * Writes into a new ledger what the target already holds, so that nothing of it is sent again: who
 * deletes the ledger loses its history, not its effect. Returns how many things the target holds.
 * Other writers get their turn after each chunk. When it is interrupted, it begins anew; what was
 * written is true all the same.
 *
 * @throws {ReadError} when the target could not be read to the end
 */
export async function adopt(options: {
  leg: string;
  target: Target;
  ledger: Ledger;
  now: () => number;
  signal: AbortSignal;
}): Promise<number> {
  const { leg, target, ledger, now, signal } = options;
  let count = 0;
  let chunk: Evidence[] = [];
  for await (const evidence of target.read({ signal })) {
    count += 1;
    chunk.push(evidence);
    if (chunk.length < CHUNK) continue;
    await ledger.adopt(leg, chunk, now());
    chunk = [];
  }
  await ledger.adopt(leg, chunk, now());
  await ledger.setAdopted(leg, now());
  return count;
}
