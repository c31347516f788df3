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
