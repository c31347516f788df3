import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, InventoryKind } from './fault.ts';
import { killInTurn } from './kill-in-turn.ts';
import { killOften } from './kill-often.ts';
import { killOneOfMany } from './kill-one-of-many.ts';
import type { KillStep } from './kill-point.ts';
import type { Stage, StageOptions } from './stage.ts';

/** One experiment: when the service is killed, and what the inventory is like. */
export interface Cell {
  /** `<when>/<fault>/<inventory>`, and for random kills a number. Also seeds what is left to chance. */
  name: string;
  /** A step, or how many kills at random times. */
  kills: KillStep | number;
  fault: Fault;
  inventory: InventoryKind;
}

export interface CellResult {
  cell: Cell;
  customers: number;
  packages: number;
  kills: number;
  /** Customers without a package. */
  lost: string[];
  /** Packages beyond a customer's first; the customer stands here once for each. */
  doubled: string[];
  /** What else was not as it must be. */
  problems: string[];
  /** From the last start, or the kill that was taken over, to the first call and until all was delivered. */
  recovery: { firstCallMs: number | undefined; deliveredMs: number } | undefined;
  /** Of each customer lost or doubled, one line an event. */
  histories: Record<string, string[]>;
  /** Where logs and ledger are, if anything was wrong. */
  kept: string | undefined;
}

/** What a way of killing tells about a cell. */
export interface Course {
  /** Whose packages count. Default: those of all customers. */
  customerIds?: string[] | undefined;
  kills: number;
  problems: string[];
  /** Since when recovery counts, by `performance.now()`; calls of one process do not. */
  recovery: { from: number; at: number; except?: number | undefined };
}

export type CellOptions = StageOptions & { seed: number };

/** A cell of a kill at a step. */
export type PointCell = Cell & { kills: KillStep };

/**
 * Runs cells that share one service, one after the other, and counts at the inventory.
 *
 * @param cells one, or several kills at steps under the same fault of the same inventory
 */
export async function runCells(cells: Cell[], options: CellOptions): Promise<CellResult[]> {
  const points = cells.filter((cell): cell is PointCell => typeof cell.kills !== 'number');
  const results: CellResult[] = [];
  for (const cell of cells) {
    if (typeof cell.kills === 'number') results.push(await killOften(cell, cell.kills, options));
  }
  if (options.replicas === 1 && points.length > 0)
    results.push(...(await killInTurn(points, options)));
  if (options.replicas > 1)
    for (const cell of points) results.push(await killOneOfMany(cell, options));
  return results;
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
  for (const id of new Set([...lost, ...doubled])) histories[id] = await stage.historyOf(id);
  const { from, at, except } = course.recovery;
  const firstCall = inventory.firstCallAfter(from, except);
  return {
    cell,
    customers: ids.length,
    packages: ids.reduce((sum, id) => sum + inventory.count(id), 0),
    kills: course.kills,
    lost,
    doubled,
    problems,
    recovery:
      problems.length > 0
        ? undefined
        : { firstCallMs: firstCall && firstCall - from, deliveredMs: at - from },
    histories,
    kept: lost.length + doubled.length + problems.length > 0 ? stage.keep() : undefined,
  };
}

function unexpectedEnds({ children }: Stage): string[] {
  return children.flatMap(({ logFile, end }) => {
    const ended = end();
    if (!ended || ended.signal === 'SIGKILL') return [];
    return [`a process ended by itself (${ended.signal ?? `exit code ${ended.code}`}): ${logFile}`];
  });
}
