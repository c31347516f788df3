import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, end } from './child-process.ts';
import type { KillPoint } from './kill-point.ts';
import type { Cell } from './plan.ts';
import type { Disturbance } from './proof.ts';
import { wholeNumberFrom } from './random.ts';
import type { Stage, StageOptions } from './stage.ts';

/** What came of a disturbance; `missed`: the moment for it did not come. */
export type Disturbed =
  | { kind: 'kill' | Disturbance['kind'] }
  | { kind: 'missed'; problem: string };

/** Long enough for a machine that is slow, and for settling, which takes up to 11 s. */
const DEADLINE_MS = 120_000;
/** A disturbance comes within this time. */
const WAIT_MS = 1_200;
/** How long a process takes to start, about. */
const START_MS = 500;
/** A process that was killed is started again, and this may be killed once more. */
const AFTER_A_KILL = ['nothing', 'kill at the start', 'ingesting', 'ingested'] as const;
/** A limit, because with replicas the other processes may receive all records. */
const STEP_AFTER_A_KILL_MS = 3_000;

/** Returns a function that does to the service what the cell says, each time, while records come. */
export function createDisturb(
  { point }: Cell,
  stage: Stage,
  { signal, random }: StageOptions & { random: () => number },
): (number: number) => Promise<Disturbed> {
  return (number) => (point ? killAtStep(point) : disturb(number));

  async function killAtStep(at: KillPoint): Promise<Disturbed> {
    const kill = { step: at.step, nth: wholeNumberFrom(random, ...at.nth) };
    await stage.startMissing(kill);
    const alive = stage.alive();
    if (await isWithin(Promise.race(alive.map(({ ended }) => ended)), DEADLINE_MS)) {
      return { kind: 'kill' };
    }
    await Promise.all(alive.map(end));
    const problem = `no process reached the kill (${kill.step}, time ${kill.nth})`;
    return { kind: 'missed', problem };
  }

  /** If there is a way of the records that can be disturbed, every third disturbance kills the service. */
  async function disturb(number: number): Promise<Disturbed> {
    await stage.startMissing();
    const { disturbances } = stage.systems;
    const next = disturbances[(number - Math.floor(number / 3)) % disturbances.length];
    if (!next || number % 3 === 2) return killAndRestart();
    await sleep(random() * WAIT_MS, undefined, { signal });
    if (await isWithin(next.run(), DEADLINE_MS)) return { kind: next.kind };
    return { kind: 'missed', problem: `nothing came that could be disturbed by a ${next.kind}` };
  }

  async function killAndRestart(): Promise<Disturbed> {
    const alive = stage.alive();
    const child = alive[wholeNumberFrom(random, 0, alive.length - 1)] as Child;
    await child.listening;
    await sleep(random() * WAIT_MS, undefined, { signal });
    await end(child);
    const next = AFTER_A_KILL[wholeNumberFrom(random, 0, AFTER_A_KILL.length - 1)];
    if (next === 'kill at the start') {
      await stage.startMissing();
      await sleep(random() * START_MS, undefined, { signal });
      await end(stage.children.at(-1) as Child);
    } else if (next === 'ingesting' || next === 'ingested') {
      // The first poll of a process already reaches the step once.
      await stage.startMissing({ step: next, nth: wholeNumberFrom(random, 2, 4) });
      const started = stage.children.at(-1) as Child;
      await isWithin(started.ended, STEP_AFTER_A_KILL_MS);
      await end(started);
    }
    await stage.startMissing();
    return { kind: 'kill' };
  }

  function isWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
    const timeout = sleep(ms, false, { signal, ref: false });
    return Promise.race([promise.then(() => true), timeout]);
  }
}
