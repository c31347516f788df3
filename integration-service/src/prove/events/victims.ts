import { type Child, endsWithin } from '../child-process.ts';
import { wholeNumberFrom } from '../random.ts';
import type { Stage, StageOptions } from '../stage.ts';

/** Processes of the service that are killed and started again. */
export interface Victims {
  /**
   * Kills one of them, by turns just so, before a sighting is committed, and after; and starts it again.
   *
   * @param turn from 0
   */
  kill(turn: number): Promise<void>;
}

const STEPS = [undefined, 'sighting', 'sighted'] as const;
/** With replicas, it may be the others who get all that comes. */
const STEP_DEADLINE_MS = 3_000;

/** Starts as many as share a ledger. */
export async function createVictims(
  stage: Stage,
  options: Pick<StageOptions, 'replicas' | 'signal'> & { random: () => number },
): Promise<Victims> {
  const { replicas, signal, random } = options;
  const alive: Child[] = [];
  for (let i = 0; i < replicas; i++) alive.push(await stage.start());

  return {
    async kill(turn) {
      const which = wholeNumberFrom(random, 0, replicas - 1);
      await end(alive[which] as Child);
      const step = STEPS[turn % STEPS.length];
      if (step) {
        // The first poll of a process gets there once.
        const doomed = await stage.start({ step, nth: wholeNumberFrom(random, 2, 4) });
        if (!(await endsWithin(doomed, STEP_DEADLINE_MS, signal))) await end(doomed);
      }
      alive[which] = await stage.start();
    },
  };

  async function end(child: Child): Promise<void> {
    child.kill();
    await child.ended;
  }
}
