import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './child-process.ts';
import type { KillPoint } from './kill-point.ts';
import { wholeNumberFrom } from './random.ts';
import type { Course } from './result.ts';
import type { Stage, StageOptions } from './stage.ts';

/** Long enough for a machine that is slow, and for settling, which takes up to 11 s. */
const DEADLINE_MS = 120_000;
/** A disturbance comes within this time. */
const WAIT_MS = 1_200;
/** This share of the kills hits a process that starts, which takes about `START_MS`. */
const SHARE_AT_START = 0.25;
const START_MS = 500;
/** In turn, nothing or one more kill follows where no other cell kills at these steps. */
const STEPS_AFTER_A_KILL = [undefined, 'ingesting', 'ingested'] as const;
/** A limit, because with replicas the other processes may receive all records. */
const STEP_DEADLINE_MS = 3_000;

/** Returns a function that does to the service what the cell says, each time, while records come. */
export function createDisturb(
  { cell: { point, source }, disturbed, problems }: Course,
  stage: Stage,
  { signal, random }: StageOptions & { random: () => number },
): (number: number) => Promise<void> {
  return (number) => (point ? killAtStep(point) : disturb(number));

  async function killAtStep({ step, nth: [min, max] }: KillPoint): Promise<void> {
    const nth = wholeNumberFrom(random, min, max);
    const before = stage.children.length;
    await stage.startMissing({ step, nth });
    // One may have ended before the last of them has been spawned.
    const started = stage.children.slice(before);
    if (await isWithin(Promise.race(started.map(({ ended }) => ended)), DEADLINE_MS)) return;
    await Promise.all(stage.alive().map((child) => child.kill()));
    problems.push(`no process reached the kill (${step}, time ${nth})`);
  }

  /** If there is a way of the records that can be disturbed, every third disturbance kills the service. */
  async function disturb(number: number): Promise<void> {
    await stage.startMissing();
    const { disturbances } = stage.systems;
    const turn = Math.floor(number / 3);
    const next = disturbances[(number - turn) % disturbances.length];
    if (!next || number % 3 === 2) return killAndRestart(turn);
    await sleep(random() * WAIT_MS, undefined, { signal });
    if (await isWithin(next.run(), DEADLINE_MS)) disturbed.push(next.kind);
    else problems.push(`nothing came that could be disturbed by a ${next.kind}`);
  }

  async function killAndRestart(turn: number): Promise<void> {
    const alive = stage.alive();
    let child = alive[wholeNumberFrom(random, 0, alive.length - 1)] as Child;
    const isAtStart = random() < SHARE_AT_START;
    if (isAtStart && child.url) {
      // Where records come through the service, the next one waits until it has started.
      await child.kill();
      await stage.startMissing();
      child = stage.children.at(-1) as Child;
    }
    if (!isAtStart) await child.listening;
    const from = isAtStart ? child.spawnedAt : performance.now();
    const killAt = from + random() * (isAtStart ? START_MS : WAIT_MS);
    await sleep(Math.max(0, killAt - performance.now()), undefined, { signal });
    await child.kill();
    const step = STEPS_AFTER_A_KILL[turn % STEPS_AFTER_A_KILL.length];
    if (step && source.killPoints.length === 0) {
      // The first poll of a process already reaches the step once.
      await stage.startMissing({ step, nth: wholeNumberFrom(random, 2, 4) });
      const started = stage.children.at(-1) as Child;
      await isWithin(started.ended, STEP_DEADLINE_MS);
      await started.kill();
    }
    await stage.startMissing();
  }

  function isWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
    const timeout = sleep(ms, false, { signal, ref: false });
    return Promise.race([promise.then(() => true), timeout]);
  }
}
