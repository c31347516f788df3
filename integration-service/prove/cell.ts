import { setTimeout as sleep } from 'node:timers/promises';
import { createDisturb, type Disturbed } from './disturb.ts';
import type { Cell } from './plan.ts';
import { createRandom } from './random.ts';
import { assess, type CellResult, type Course } from './result.ts';
import { type Stage, type StageOptions, setStage } from './stage.ts';

/** The records of a disturbance come over this time, and faster if it is over sooner. */
const SPREAD_MS = 1_000;
/** After them one more comes each time, until the disturbance is over. */
const MORE_MS = 200;
/** No more records while this many wait for their effect: a target that fails at first is slow. */
const MAX_WAITING = 12;

/**
 * Runs cells one after the other on one stage, and counts effects at the end: a process has to handle what the
 * kills before it left behind, and may be killed while it does. The records that come during a cell count for it.
 *
 * @param cells one cell, or several as `groupCells` groups them
 */
export async function runCells(cells: Cell[], options: StageOptions): Promise<CellResult[]> {
  const [first] = cells as [Cell, ...Cell[]];
  await using stage = await setStage(first, options);
  const courses: Course[] = [];
  for (const cell of cells) courses.push(await runCell(cell, stage, options));
  // Replicas take over the work of the one that was killed; nobody starts it again.
  if (stage.alive().length === 0) await stage.startMissing();
  // A record that comes after the last kill must be served, too.
  courses.at(-1)?.ids.push(...(await stage.systems.create(1)));
  return await assess(courses, stage, options.signal);
}

async function runCell(cell: Cell, stage: Stage, options: StageOptions): Promise<Course> {
  const { systems, children } = stage;
  const { seed, signal } = options;
  const from = performance.now();
  const random = createRandom(`${seed} ${cell.name}`);
  const disturb = createDisturb(cell, stage, { ...options, random });
  const ids: string[] = [];
  const disturbed: Disturbed[] = [];
  for (let i = 0; i < cell.disturbances; i++) {
    const disturbance = disturb(i);
    const until = Math.floor((cell.records * (i + 1)) / cell.disturbances);
    const [done] = await Promise.all([disturbance, createDuring(disturbance, until)]);
    disturbed.push(done);
  }
  await create(cell.records - ids.length);
  const killed = children
    .flatMap(({ end }, process) => (end?.signal === 'SIGKILL' ? { ...end, process } : []))
    .filter(({ at }) => at >= from)
    .toSorted((a, b) => a.at - b.at);
  return { cell, ids, disturbed, kills: killed.length, lastKill: killed.at(-1) };

  /** Lets records come while something goes on, until there are at least so many. */
  async function createDuring(disturbance: Promise<unknown>, atLeast: number): Promise<void> {
    let isOver = false;
    const over = disturbance.finally(() => {
      isOver = true;
    });
    const pauseMs = SPREAD_MS / Math.max(1, atLeast - ids.length);
    while (!isOver) {
      const waiting = ids.filter((id) => systems.effects(id) === 0).length;
      const isEnough = ids.length >= atLeast;
      if (!isEnough || waiting < MAX_WAITING) await create(1);
      await Promise.race([over, sleep(isEnough ? MORE_MS : pauseMs, undefined, { signal })]);
    }
    await create(atLeast - ids.length);
  }

  async function create(count: number): Promise<void> {
    if (count > 0) ids.push(...(await systems.create(count)));
  }
}
