import { FAULTS, INVENTORY_KINDS } from './fault.ts';
import { KILL_POINTS } from './kill-point.ts';
import { type Cell, type EventCell, isPointCell, type KillCell } from './setting.ts';
import type { EventSourceName, SourceName } from './source-name.ts';

export interface PlanOptions {
  /** How the service learns of customers. */
  sources: SourceName[];
  /** Total over all cells of one event source. */
  customers: number;
  /** Total over all cells of one event source. */
  disturbances: number;
  /** Total number of kills at random times. */
  kills: number;
  /** Only some of the kill points under each fault. */
  quick: boolean;
  /** Only cells with this in their name. */
  only?: string | undefined;
}

/** A quick plan has one of this many kill points per fault and inventory; every kill point occurs. */
const QUICK_STEP = 7;

/** Two faults are enough: events enter the same ledger as polled customers, which meet all faults. */
const EVENT_FAULTS = ['none', 'drops'] as const;

/** All cells of a run, the longest first. */
export function planCells(options: PlanOptions): Cell[] {
  const cells = [
    // Cells with a broker first: they run one after the other.
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
    // A disturbed part must be at work.
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
    // The remainder goes to faults far from each other.
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

/** Kills per group, one process after the other: starting a process is most of the cost of a cell. */
const KILLS_IN_TURN = 4;

/**
 * Groups cells that run one after the other: a few kills at steps under the same fault and inventory,
 * which share one stage, and all cells that need a broker, so that one broker runs at a time.
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
