import { type Child, endsWithin } from './child-process.ts';
import { wholeNumberFrom } from './random.ts';
import type { Stage, StageOptions } from './stage.ts';

/** Processes of the service that are killed and restarted. */
export interface Victims {
  /**
   * Kills one process and starts it again. In turn, the kill comes at any moment, before an item is
   * committed, and after one.
   *
   * @param turn from 0
   */
  kill(turn: number): Promise<void>;
}

const STEPS = [undefined, 'ingesting', 'ingested'] as const;
/** A limit, because with replicas the other processes may receive all events. */
const STEP_DEADLINE_MS = 3_000;

/** Starts as many processes as share a ledger. */
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
        // The first poll of a process already reaches the step once.
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
