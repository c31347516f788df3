import { setTimeout as sleep } from 'node:timers/promises';
import type { Cell } from './setting.ts';
import type { Stage, StageOptions } from './stage.ts';

export interface CellResult {
  cell: Cell;
  customers: number;
  packages: number;
  kills: number;
  /** Connections cut on the way of events. */
  cuts: number;
  /** Restarts of the broker. */
  restarts: number;
  /** Customers without a package. */
  lost: string[];
  /** Packages beyond a customer's first; the customer is listed once per extra package. */
  doubled: string[];
  /** Everything else that went wrong. */
  problems: string[];
  /**
   * From the last start, or from the kill after which others took over, to the first call and until
   * everything was delivered. Undefined for event cells and if there were problems.
   */
  recovery: { firstCallMs: number | undefined; deliveredMs: number } | undefined;
  /** For the first of the lost or doubled customers, one line per event. */
  histories: Record<string, string[]>;
  /** Where logs and ledger are kept if anything was wrong. */
  kept: string | undefined;
}

/** What a way of killing reports about a cell. */
export interface Course {
  /** The customers whose packages count. Default: all customers. */
  customerIds?: string[] | undefined;
  kills: number;
  cuts?: number;
  restarts?: number;
  problems: string[];
  /** The start and end of recovery, by `performance.now()`; calls of the process `except` do not count. */
  recovery?: { from: number; at: number; except?: number | undefined };
}

export type CellOptions = StageOptions & { seed: number };

/** Maximum number of customers whose history a result contains. */
const MAX_HISTORIES = 20;

/** Counts the packages when the service is done. */
export async function assess(cell: Cell, stage: Stage, course: Course): Promise<CellResult> {
  const { crm, inventory } = stage;
  // By then, late commits of requests that have begun are done.
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
