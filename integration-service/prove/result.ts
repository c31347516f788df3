import { setTimeout as sleep } from 'node:timers/promises';
import { explain, mayEnd, untilDelivered } from './deliveries.ts';
import { type Delivery, openOnes } from './delivery.ts';
import type { Cell } from './plan.ts';
import type { Disturbance } from './proof.ts';
import type { Stage } from './stage.ts';

/** What happened in a cell. */
export interface Course {
  cell: Cell;
  /** The records that count for it. */
  ids: string[];
  /** What disturbed it, but for kills. */
  disturbed: Disturbance['kind'][];
  /** What went wrong, but for records that were lost or doubled. */
  problems: string[];
  /** When which process was killed, in order. */
  kills: { at: number; process: number }[];
}

export interface CellResult extends Course {
  /** Number of changes at the source; 0 if the proof counts none. */
  changes: number;
  /** Records that have no effect, or an old one, and whose dead letter says so. */
  dead: number;
  /** Number of effects at the target. */
  effects: number;
  /** Records without an effect. */
  lost: string[];
  /** Records with more than one effect, listed once per extra effect. */
  doubled: string[];
  /** Undefined if there were problems. */
  recovery: Recovery | undefined;
  /** What the ledger says of the first of the lost or doubled records. */
  histories: Record<string, string>;
  /** Where logs and ledger are kept if anything was wrong. */
  kept: string | undefined;
}

/** Times from the restart after the last kill, or from the kill if others took over. */
export interface Recovery {
  firstCallMs: number | undefined;
  deliveredMs: number;
}

/** Maximum number of records whose history a result contains. */
const MAX_HISTORIES = 20;
/** By then, late commits of requests that have begun are done. */
const IDLE_MS = 5_000;

/** Counts the effects when the service is done. */
export async function assess(
  courses: Course[],
  stage: Stage,
  signal: AbortSignal,
): Promise<CellResult[]> {
  const ids = courses.flatMap((course) => course.ids);
  const deliveries = await untilDelivered(ids, stage, signal);
  await Promise.race([stage.systems.idle(), sleep(IDLE_MS, undefined, { ref: false })]);
  const results = courses.map((course) => resultOf(course, stage, deliveries));
  for (const { lost, doubled, histories } of results) {
    const wrong = [...new Set([...lost, ...doubled])].slice(0, MAX_HISTORIES);
    for (const id of wrong) histories[id] = await explain(id, stage, signal);
  }
  return results;
}

function resultOf(course: Course, stage: Stage, deliveries: Map<string, Delivery[]>): CellResult {
  const { ids } = course;
  const { effects, changes } = stage.systems;
  const lost = ids.filter((id) => effects(id) === 0);
  const doubled = ids.flatMap((id) => Array<string>(Math.max(0, effects(id) - 1)).fill(id));
  const problems = [
    ...course.problems,
    ...describeOpen(ids, stage, deliveries),
    ...stage.systems.problems(),
    ...unexpectedEnds(stage),
  ];
  return {
    ...{ ...course, lost, doubled, problems, histories: {} },
    dead: ids.filter((id) => {
      const own = deliveries.get(id) ?? [];
      return openOnes(own).length > 0 && mayEnd(stage.systems, id, own);
    }).length,
    changes: ids.reduce((sum, id) => sum + (changes?.(id) ?? 0), 0),
    effects: ids.length - lost.length + doubled.length,
    recovery: problems.length > 0 ? undefined : recoveryOf(course, stage, deliveries),
    kept: lost.length + doubled.length + problems.length > 0 ? stage.keep() : undefined,
  };
}

function describeOpen(
  ids: string[],
  { systems }: Stage,
  deliveries: Map<string, Delivery[]>,
): string[] {
  const statuses = ids.flatMap((id) => {
    const own = deliveries.get(id) ?? [];
    if (mayEnd(systems, id, own)) return [];
    if (own.length === 0) return 'not ingested';
    return openOnes(own).map(({ status }) => status);
  });
  const open = Map.groupBy(statuses, (status) => status);
  const parts = [...open].map(([status, { length }]) => `${length} ${status}`);
  return parts.length > 0 ? [`not all was delivered: ${parts.join(', ')}`] : [];
}

function unexpectedEnds({ children }: Stage): string[] {
  return children.flatMap(({ logFile, end }) => {
    if (!end || end.signal === 'SIGKILL') return [];
    return [`a process ended by itself (${end.signal ?? `exit code ${end.code}`}): ${logFile}`];
  });
}

function recoveryOf(
  { ids, kills }: Course,
  { children, systems }: Stage,
  deliveries: Map<string, Delivery[]>,
): Recovery | undefined {
  const kill = kills.at(-1);
  if (!kill) return undefined;
  const from = children.find(({ spawnedAt }) => spawnedAt > kill.at)?.spawnedAt ?? kill.at;
  const firstCall = systems.firstCallAfter(from, kill.process);
  const times = ids
    .flatMap((id) => deliveries.get(id) ?? [])
    .map(({ updated_at }) => Date.parse(updated_at) - performance.timeOrigin);
  const deliveredAt = times.reduce((latest, at) => Math.max(latest, at), from);
  return { firstCallMs: firstCall && firstCall - from, deliveredMs: deliveredAt - from };
}
