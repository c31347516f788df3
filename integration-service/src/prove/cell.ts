import { setTimeout as sleep } from 'node:timers/promises';
import { runEventCell } from './events/event-cell.ts';
import type { EventSourceName, SourceName } from './events/source-name.ts';
import type { Fault, InventoryKind } from './fault.ts';
import { killInTurn } from './kill-in-turn.ts';
import { killOften } from './kill-often.ts';
import { killOneOfMany } from './kill-one-of-many.ts';
import type { KillStep } from './kill-point.ts';
import type { Stage, StageOptions } from './stage.ts';

/** What the inventory of an experiment is like. */
export interface Setting {
  /** `<when or source>/<fault>/<inventory>`. Also seeds what is left to chance. */
  name: string;
  fault: Fault;
  inventory: InventoryKind;
}

/** The service polls, and is killed. */
export interface KillCell extends Setting {
  source: Extract<SourceName, 'poll'>;
  /** A step, or how many kills at random times. */
  kills: KillStep | number;
}

/** The service gets customers by events alone; it is killed, and so is what is between it and the CRM. */
export interface EventCell extends Setting {
  source: EventSourceName;
  customers: number;
  /** Kills, cuts of connections and restarts of the broker. */
  disturbances: number;
}

/** One experiment. */
export type Cell = KillCell | EventCell;

export interface CellResult {
  cell: Cell;
  customers: number;
  packages: number;
  kills: number;
  /** Of connections, on the way of events. */
  cuts: number;
  /** Of the broker. */
  restarts: number;
  /** Customers without a package. */
  lost: string[];
  /** Packages beyond a customer's first; the customer stands here once for each. */
  doubled: string[];
  /** What else was not as it must be. */
  problems: string[];
  /** Not of events. From the last start, or the kill that was taken over, to the first call and until all was delivered. */
  recovery: { firstCallMs: number | undefined; deliveredMs: number } | undefined;
  /** Of customers lost or doubled, the first of them, one line an event. */
  histories: Record<string, string[]>;
  /** Where logs and ledger are, if anything was wrong. */
  kept: string | undefined;
}

/** What a way of killing tells about a cell. */
export interface Course {
  /** Whose packages count. Default: those of all customers. */
  customerIds?: string[] | undefined;
  kills: number;
  cuts?: number;
  restarts?: number;
  problems: string[];
  /** Since when recovery counts, by `performance.now()`; calls of one process do not. */
  recovery?: { from: number; at: number; except?: number | undefined };
}

export type CellOptions = StageOptions & { seed: number };

/** A cell of a kill at a step. */
export type PointCell = KillCell & { kills: KillStep };

/** Of how many customers a result tells the history. */
const MAX_HISTORIES = 20;

/**
 * Runs cells one after the other, and counts at the inventory.
 *
 * @param cells one, or several as `groupCells` puts them together
 */
export async function runCells(cells: Cell[], options: CellOptions): Promise<CellResult[]> {
  const points = cells.filter(isPointCell);
  const results: CellResult[] = [];
  for (const cell of cells) {
    if (cell.source !== 'poll') results.push(await runEventCell(cell, options));
    else if (typeof cell.kills === 'number')
      results.push(await killOften(cell, cell.kills, options));
  }
  if (options.replicas === 1 && points.length > 0)
    results.push(...(await killInTurn(points, options)));
  if (options.replicas > 1)
    for (const cell of points) results.push(await killOneOfMany(cell, options));
  return results;
}

export function isPointCell(cell: Cell): cell is PointCell {
  return cell.source === 'poll' && typeof cell.kills !== 'number';
}

/** Counts when the service is done. */
export async function assess(cell: Cell, stage: Stage, course: Course): Promise<CellResult> {
  const { crm, inventory } = stage;
  // Whatever was begun and is still to come has come by then.
  await Promise.race([inventory.idle(), sleep(5_000, undefined, { ref: false })]);
  const ids = course.customerIds ?? crm.customerIds;
  const lost = ids.filter((id) => inventory.count(id) === 0);
  const doubled = ids.flatMap((id) => Array(Math.max(0, inventory.count(id) - 1)).fill(id));
  const problems = [...course.problems, ...unexpectedEnds(stage)];
  const histories: CellResult['histories'] = {};
  for (const id of [...new Set([...lost, ...doubled])].slice(0, MAX_HISTORIES)) {
    histories[id] = await stage.historyOf(id);
  }
  return {
    cell,
    customers: ids.length,
    packages: ids.reduce((sum, id) => sum + inventory.count(id), 0),
    kills: course.kills,
    cuts: course.cuts ?? 0,
    restarts: course.restarts ?? 0,
    lost,
    doubled,
    problems,
    recovery: problems.length > 0 ? undefined : recoveryOf(course, stage),
    histories,
    kept: lost.length + doubled.length + problems.length > 0 ? stage.keep() : undefined,
  };
}

function recoveryOf({ recovery }: Course, { inventory }: Stage): CellResult['recovery'] {
  if (!recovery) return undefined;
  const { from, at, except } = recovery;
  const firstCall = inventory.firstCallAfter(from, except);
  return { firstCallMs: firstCall && firstCall - from, deliveredMs: at - from };
}

function unexpectedEnds({ children }: Stage): string[] {
  return children.flatMap(({ logFile, end }) => {
    const ended = end();
    if (!ended || ended.signal === 'SIGKILL') return [];
    return [`a process ended by itself (${ended.signal ?? `exit code ${ended.code}`}): ${logFile}`];
  });
}
