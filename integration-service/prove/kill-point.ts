import type { EngineEvent } from '../src/delivery/engine-event.ts';
import { wholeNumberFrom } from './random.ts';

/** Steps of a call that only the inventory can observe. */
export const INVENTORY_STEPS = ['storing', 'stored', 'answering'] as const;
export type InventoryStep = (typeof INVENTORY_STEPS)[number];

/** Steps that the service itself reports. */
export type ServiceStep = EngineEvent['kind'];

/** A moment at which the service is killed. The service or the inventory observes it. */
export type KillStep = ServiceStep | InventoryStep;

/** A kill at the `nth` time, from 1, that a step is reached. */
export interface Kill<Of extends KillStep = KillStep> {
  step: Of;
  nth: number;
}

interface KillPoint {
  step: KillStep;
  /** The label in the matrix. */
  label: string;
  /** The first and last value of `nth` for this step. */
  nth: [number, number];
  /** The step recurs in every process, even without work. */
  recurs?: true;
}

/**
 * The points before and after each important operation. A cell has six customers in two waves, and one
 * more after each poll until the kill, so every step recurs. All results may be committed together, so the
 * result commit is killed at its first time. The dispatcher also claims when nothing is pending, so the
 * first claim is too early.
 */
export const KILL_POINTS: KillPoint[] = [
  { step: 'ingesting', recurs: true, label: 'before item commit', nth: [1, 2] },
  { step: 'ingested', recurs: true, label: 'after item commit', nth: [1, 2] },
  { step: 'claiming', recurs: true, label: 'before claim', nth: [2, 3] },
  { step: 'claimed', label: 'after claim', nth: [1, 2] },
  { step: 'sending', label: 'before request sent', nth: [2, 5] },
  { step: 'sent', label: 'after request sent', nth: [2, 5] },
  { step: 'storing', label: 'before target commit', nth: [2, 5] },
  { step: 'stored', label: 'after target commit', nth: [2, 5] },
  { step: 'answering', label: 'before response', nth: [2, 5] },
  { step: 'received', label: 'after response', nth: [2, 5] },
  { step: 'committing', label: 'before result commit', nth: [1, 1] },
  { step: 'committed', label: 'after result commit', nth: [1, 1] },
];

export function isInventoryKill(kill: Kill): kill is Kill<InventoryStep> {
  return (INVENTORY_STEPS as readonly string[]).includes(kill.step);
}

export function isServiceKill(kill: Kill): kill is Kill<ServiceStep> {
  return !isInventoryKill(kill);
}

/**
 * Chooses a kill at a step, at one of the times that make sense for it.
 *
 * @param processes the number of processes that share the work
 */
export function chooseKill(step: KillStep, random: () => number, processes: number): Kill {
  const point = KILL_POINTS.find((each) => each.step === step) as KillPoint;
  const nth = wholeNumberFrom(random, ...point.nth);
  const isSplit = !point.recurs && isServiceKill({ step, nth });
  return { step, nth: isSplit ? Math.ceil(nth / processes) : nth };
}
