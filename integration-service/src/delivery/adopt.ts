import type { Logger } from 'service-kit/logger';
import type { Evidence } from './delivery.ts';
import type { Gate, Permit } from './gate.ts';
import { CHUNK } from './ledger/events.ts';
import type { Ledger } from './ledger/ledger.ts';
import { MOST_NAMED, nameSome } from './name-some.ts';
import { readThrough } from './settle.ts';
import { ReadError, type Target } from './target.ts';

export interface AdoptionOptions {
  leg: string;
  target: Target;
  ledger: Ledger;
  gate: Gate;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Ends a read before its time. */
  signal: AbortSignal;
}

/** Sees to it that a new ledger is adopted before anything is sent. */
export function createAdoption(options: AdoptionOptions) {
  const { leg, target, ledger, gate, log, signal } = options;
  let isDone = false;

  async function read(permit: Permit): Promise<void> {
    log.info(`The ledger is new: asking the ${target.name} what it already holds.`);
    try {
      const { count, first } = await readThrough(permit, () => adopt(options));
      permit.succeed();
      const some = count > 0 ? ` (${nameSome(first, count)})` : '';
      log.info(`The ${target.name} already holds ${count}${some}. Nothing of it is sent again.`);
      isDone = true;
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      if (signal.aborted) return;
      log.error(`Could not ask the ${target.name} what it already holds: ${error.message}`);
    }
  }

  return {
    isDone: () => isDone,
    /** Tries it when it is not done yet; returns whether it is now. */
    async ensure(): Promise<boolean> {
      isDone ||= await ledger.isAdopted(leg);
      const permit = isDone ? undefined : gate.pass();
      if (permit) await read(permit);
      return isDone;
    },
  };
}

/**
 * Writes into a new ledger what the target already holds, so that nothing of it is sent again: who
 * deletes the ledger loses its history, not its effect. Returns how many things the target holds, and
 * the keys of some of them.
 * Other writers get their turn after each chunk. When it is interrupted, it begins anew; what was
 * written is true all the same.
 *
 * @throws {ReadError} when the target could not be read to the end
 */
async function adopt(options: Omit<AdoptionOptions, 'gate' | 'log'>) {
  const { leg, target, ledger, now, signal } = options;
  let count = 0;
  const first: string[] = [];
  let chunk: Evidence[] = [];
  for await (const evidence of target.read({ signal })) {
    count += 1;
    chunk.push(evidence);
    if (first.length < MOST_NAMED) first.push(evidence.key);
    if (chunk.length < CHUNK) continue;
    await ledger.adopt(leg, chunk, now());
    chunk = [];
  }
  await ledger.adopt(leg, chunk, now());
  await ledger.setAdopted(leg, now());
  return { count, first };
}
