import { type Cell, type EventCell, isPointCell, type KillCell } from './cell.ts';
import type { EventSourceName, SourceName } from './events/source-name.ts';
import { FAULTS, INVENTORY_KINDS } from './fault.ts';
import { KILL_POINTS } from './kill-point.ts';

export interface PlanOptions {
  /** How customers come to the service. */
  sources: SourceName[];
  /** In all cells of one source of events. */
  customers: number;
  /** The same. */
  disturbances: number;
  /** Random kills in all. */
  kills: number;
  /** Only some of the kill points under each fault. */
  quick: boolean;
  /** Only cells with this in their name. */
  only?: string | undefined;
}

/** A quick plan has one kill point in so many under each fault and inventory; all come up. */
const QUICK_STEP = 7;

/** Events meet with the rest of the matrix in the same ledger as what a poll finds. */
const EVENT_FAULTS = ['none', 'drops'] as const;

/** All cells of a run, the longest first. */
export function planCells(options: PlanOptions): Cell[] {
  const cells = [
    // By brokers first: theirs run one after the other.
    ...(['rabbitmq', 'webhook'] as const).flatMap((source) =>
      options.sources.includes(source) ? planEvents(source, options) : [],
    ),
    ...(options.sources.includes('poll') ? planKills(options) : []),
  ];
  return cells.filter(({ name }) => name.includes(options.only ?? ''));
}

function planEvents(source: EventSourceName, options: PlanOptions): EventCell[] {
  const kinds = EVENT_FAULTS.flatMap((fault, f) =>
    INVENTORY_KINDS.flatMap((inventory, i) =>
      options.quick && f !== i ? [] : [{ fault, inventory }],
    ),
  );
  const share = (all: number, i: number) =>
    Math.floor((all * (i + 1)) / kinds.length) - Math.floor((all * i) / kinds.length);
  return kinds.map(({ fault, inventory }, i) => {
    const disturbances = share(options.disturbances, i);
    // What is disturbed must be at work.
    const customers = Math.max(share(options.customers, i), disturbances);
    const name = `${source}/${fault}/${inventory}`;
    return { name, source, customers, disturbances, fault, inventory };
  });
}

function planKills({ kills, quick }: PlanOptions): KillCell[] {
  const kinds = FAULTS.flatMap((fault, f) =>
    INVENTORY_KINDS.map((inventory, i) => ({ fault, inventory, number: f * 2 + i })),
  );
  const atRandom = kinds.map(({ fault, inventory, number }): KillCell => {
    // What cannot be shared evenly goes to faults far from each other.
    const rank = (number * 5) % kinds.length;
    const share = Math.floor(kills / kinds.length) + (rank < kills % kinds.length ? 1 : 0);
    const name = `random/${fault}/${inventory}`;
    return { name, source: 'poll', kills: share, fault, inventory };
  });
  const atPoints = KILL_POINTS.flatMap(({ step }, p) =>
    kinds.flatMap(({ fault, inventory, number }): KillCell[] =>
      quick && (p + number * 5) % QUICK_STEP !== 0
        ? []
        : [
            {
              name: `${step}/${fault}/${inventory}`,
              source: 'poll',
              kills: step,
              fault,
              inventory,
            },
          ],
    ),
  );
  return [...atRandom.filter((cell) => cell.kills !== 0), ...atPoints];
}

/** Kills that one process after the other goes through: a start is most of what a cell costs. */
const KILLS_IN_TURN = 4;

/**
 * Puts together what runs one after the other: some of the kills at steps under one fault of one
 * inventory, as one service serves them all; and what needs a broker, of which one at a time is enough.
 */
export function groupCells(cells: Cell[], replicas: number): Cell[][] {
  const groups: Cell[][] = [];
  for (const cell of cells) {
    const group = groups.find(([first, ...more]) => {
      if (first === undefined) return false;
      if (cell.source === 'rabbitmq') return first.source === 'rabbitmq';
      return (
        replicas === 1 &&
        isPointCell(cell) &&
        isPointCell(first) &&
        more.length + 1 < KILLS_IN_TURN &&
        first.fault === cell.fault &&
        first.inventory === cell.inventory
      );
    });
    if (group) group.push(cell);
    else groups.push([cell]);
  }
  return groups;
}
