import type { Cell } from './cell.ts';
import { FAULTS, INVENTORY_KINDS } from './fault.ts';
import { KILL_POINTS } from './kill-point.ts';

export interface PlanOptions {
  /** Random kills in all. */
  kills: number;
  /** Only some of the kill points under each fault. */
  quick: boolean;
  /** Only cells with this in their name. */
  only?: string | undefined;
}

/** A quick plan has one kill point in so many under each fault and inventory; all come up. */
const QUICK_STEP = 7;

/** All cells of a run, the longest first. */
export function planCells({ kills, quick, only = '' }: PlanOptions): Cell[] {
  const kinds = FAULTS.flatMap((fault, f) =>
    INVENTORY_KINDS.map((inventory, i) => ({ fault, inventory, number: f * 2 + i })),
  );
  const atRandom = kinds.map(({ fault, inventory, number }): Cell => {
    // What cannot be shared evenly goes to faults far from each other.
    const rank = (number * 5) % kinds.length;
    const share = Math.floor(kills / kinds.length) + (rank < kills % kinds.length ? 1 : 0);
    return { name: `random/${fault}/${inventory}`, kills: share, fault, inventory };
  });
  const atPoints = KILL_POINTS.flatMap(({ step }, p) =>
    kinds.flatMap(({ fault, inventory, number }): Cell[] =>
      quick && (p + number * 5) % QUICK_STEP !== 0
        ? []
        : [{ name: `${step}/${fault}/${inventory}`, kills: step, fault, inventory }],
    ),
  );
  return [...atRandom.filter((cell) => cell.kills !== 0), ...atPoints].filter(({ name }) =>
    name.includes(only),
  );
}

/** Kills that one process after the other goes through: a start is most of what a cell costs. */
const KILLS_IN_TURN = 4;

/** Puts the kills at steps under one fault of one inventory together, some at a time. */
export function groupCells(cells: Cell[], replicas: number): Cell[][] {
  const groups: Cell[][] = [];
  for (const cell of cells) {
    const isAlone = typeof cell.kills === 'number' || replicas > 1;
    const group = groups.find(
      ([first, ...more]) =>
        !isAlone &&
        first !== undefined &&
        typeof first.kills !== 'number' &&
        more.length + 1 < KILLS_IN_TURN &&
        first.fault === cell.fault &&
        first.inventory === cell.inventory,
    );
    if (group) group.push(cell);
    else groups.push([cell]);
  }
  return groups;
}
