import { CHUNK } from '../chunks.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { MOST_NAMED, nameSome } from '../name-some.ts';
import { ReadError } from '../target.ts';
import type { DispatcherOptions } from './dispatcher-options.ts';
import type { Permit } from './gate.ts';
import { readThrough } from './read-through.ts';

/** Makes sure that a new ledger adopts what the target holds before anything is sent. */
export function createAdoption(options: DispatcherOptions & { signal: AbortSignal }) {
  const { flow, ledger, gate, log, now, signal } = options;
  const { name, target, adopt: toItem } = flow;
  let isDone = toItem === undefined;

  async function read(permit: Permit): Promise<void> {
    log.info(`The ledger is new: asking the ${target.name} what it already holds.`);
    try {
      const { count, first } = await readThrough(permit, adopt);
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

  /**
   * Writes what the target already holds into a new ledger, so that nothing of it is sent again: a deleted
   * ledger loses its history, not its effect. Returns how many things the target holds, and the keys of some
   * of them. Other writers get their turn after each chunk. If it is interrupted, it begins again; what was
   * already written stays true.
   *
   * @throws {ReadError} when the target could not be read to the end
   */
  async function adopt(): Promise<{ count: number; first: string[] }> {
    if (!toItem || !target.list) throw new Error(`${name} cannot adopt: its target has no list.`);
    let count = 0;
    const first: string[] = [];
    let chunk: Parameters<Ledger['adopt']>[1][number][] = [];
    for await (const held of target.list(signal)) {
      const item = toItem(held);
      count += 1;
      chunk.push({ ...item, targetId: held.targetId });
      if (first.length < MOST_NAMED) first.push(item.key);
      if (chunk.length < CHUNK) continue;
      await ledger.adopt(name, chunk, now());
      chunk = [];
    }
    await ledger.adopt(name, chunk, now());
    await ledger.setAdopted(name, now());
    return { count, first };
  }

  return {
    isDone: () => isDone,
    /** Adopts, if that is not done yet; returns whether it is done now. */
    async ensure(): Promise<boolean> {
      isDone ||= await ledger.isAdopted(name);
      const permit = isDone ? undefined : gate.pass();
      if (permit) await read(permit);
      return isDone;
    },
  };
}
