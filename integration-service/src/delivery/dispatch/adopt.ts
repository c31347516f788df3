import type { Logger } from 'service-kit/logger';
import type { Evidence } from '../delivery.ts';
import { CHUNK } from '../ledger/events.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { MOST_NAMED, nameSome } from '../name-some.ts';
import { ReadError, type Target } from '../target.ts';
import type { Gate, Permit } from './gate.ts';
import { readThrough } from './settle.ts';

export interface AdoptionOptions {
  leg: string;
  target: Target;
  ledger: Ledger;
  gate: Gate;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Aborts a read. */
  signal: AbortSignal;
}

/** Makes sure that a new ledger adopts what the target holds before anything is sent. */
export function createAdoption(options: AdoptionOptions) {
  const { leg, target, ledger, gate, log, signal } = options;
  let isDone = false;

  async function read(permit: Permit): Promise<void> {
    log.info(`The ledger is new: asking the ${target.name} what it already holds.`);
    try {
      const { count, first } = await readThrough(permit, () => adopt(options));
      permit.succeed();
      const some = count > 0 ? ` (${nameSome(first, count)})` : '';
      log.info(`The ${target.name} already holds ${count}${some}. None of it is sent again.`);
      isDone = true;
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      if (signal.aborted) return;
      log.error(`Could not ask the ${target.name} what it already holds: ${error.message}`);
    }
  }

  return {
    isDone: () => isDone,
    /** Adopts, if that is not done yet; returns whether it is done now. */
    async ensure(): Promise<boolean> {
      isDone ||= await ledger.isAdopted(leg);
      const permit = isDone ? undefined : gate.pass();
      if (permit) await read(permit);
      return isDone;
    },
  };
}

/**
 * Writes what the target already holds into a new ledger, so that nothing of it is sent again: a deleted
 * ledger loses its history, not its effect. Returns how many things the target holds, and the keys of some
 * of them. Other writers get their turn after each chunk. If it is interrupted, it begins again; what was
 * already written stays true.
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
