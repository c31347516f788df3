import { setTimeout as sleep } from 'node:timers/promises';
import { createDisturb } from './disturb.ts';
import type { Cell } from './plan.ts';
import { createRandom } from './random.ts';
import { assess, type CellResult, type Course } from './result.ts';
import { type Stage, type StageOptions, setStage } from './stage.ts';

/** One more record comes each time, until the disturbance is over. */
const NEXT_RECORD_MS = 200;
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
  // A record that comes after the last kill must be served, too, and those that nobody was there to take.
  const last = courses.at(-1) as Course;
  const missing = last.cell.records - last.ids.length;
  last.ids.push(...(await stage.systems.create(Math.max(1, missing))));
  return await assess(courses, stage, options.signal);
}

async function runCell(cell: Cell, stage: Stage, options: StageOptions): Promise<Course> {
  const { systems, children } = stage;
  const from = performance.now();
  const random = createRandom(`${options.seed} ${cell.name}`);
  const ids: string[] = [];
  const course: Course = { cell, ids, disturbed: [], problems: [], kills: [] };
  const disturb = createDisturb(course, stage, { ...options, random });
  // Where records come through the service, none would be there to be lost.
  if (!cell.point) await stage.startMissing();
  for (let i = 0; i < cell.disturbances; i++) {
    const until = Math.floor((cell.records * (i + 1)) / cell.disturbances);
    // What is disturbed must be at work.
    await create(Math.ceil((until - ids.length) / 2));
    const disturbance = disturb(i);
    await Promise.all([disturbance, createDuring(disturbance)]);
    await create(until - ids.length);
  }
  await create(cell.records - ids.length);
  course.kills = children
    .flatMap(({ end }, process) => (end?.signal === 'SIGKILL' ? { at: end.at, process } : []))
    .filter(({ at }) => at >= from)
    .toSorted((a, b) => a.at - b.at);
  return course;

  async function createDuring(disturbance: Promise<unknown>): Promise<void> {
    const over = disturbance.then(
      () => true,
      () => true,
    );
    for (let isOver = false; !isOver; ) {
      const waiting = ids.filter((id) => systems.effects(id) === 0).length;
      if (waiting < MAX_WAITING) await create(1);
      isOver = await Promise.race([over, sleep(NEXT_RECORD_MS, false)]);
    }
  }

  async function create(count: number): Promise<void> {
    if (count > 0) ids.push(...(await systems.create(count)));
  }
}
