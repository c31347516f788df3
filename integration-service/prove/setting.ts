import type { Fault, InventoryKind } from './fault.ts';
import type { KillStep } from './kill-point.ts';
import type { EventSourceName, SourceName } from './source-name.ts';

/** The inventory of an experiment. */
export interface Setting {
  /** `<when or source>/<fault>/<inventory>`. Also seeds the random choices. */
  name: string;
  fault: Fault;
  inventory: InventoryKind;
}

/** An experiment in which the service polls and is killed. */
export interface KillCell extends Setting {
  source: Extract<SourceName, 'poll'>;
  /** A step, or the number of kills at random times. */
  kills: KillStep | number;
}

/** The service gets customers by events alone. It is killed, and its way to the CRM is disturbed. */
export interface EventCell extends Setting {
  source: EventSourceName;
  customers: number;
  /** Kills, cuts of connections and restarts of the broker. */
  disturbances: number;
}

/** One experiment. */
export type Cell = KillCell | EventCell;

/** A cell that kills at one step. */
export type PointCell = KillCell & { kills: KillStep };

export function isPointCell(cell: Cell): cell is PointCell {
  return cell.source === 'poll' && typeof cell.kills !== 'number';
}
