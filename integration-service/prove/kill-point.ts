import type { EngineEvent } from '../src/delivery/engine-event.ts';

/** Steps that the service itself reports. */
type ServiceStep = EngineEvent['kind'];

/**
 * Steps that only the systems at both ends can observe: of a call to the target, of a call that reads one record
 * back from it, and of a call to the service's own API.
 */
export type SystemStep =
  | ('storing' | 'stored' | 'answering')
  | ('reading' | 'read')
  | ('requested' | 'answered');

/** A kill at the `nth` time, from 1, that a step is reached. */
export interface Kill {
  step: ServiceStep | SystemStep;
  nth: number;
}

/** A place of a kill. */
export interface KillPoint {
  step: ServiceStep | SystemStep;
  /** The label in the matrix. */
  label: string;
  /** The first and last time that makes sense for this step. */
  nth: [number, number];
}

/**
 * The points before and after each important operation. Records come until the kill, so every step recurs. All
 * results may be committed together, so the result commit is killed at its first time. The dispatcher also
 * claims when nothing is pending, so the first claim is too early.
 */
export const KILL_POINTS: readonly KillPoint[] = [
  { step: 'ingesting', label: 'before item commit', nth: [1, 2] },
  { step: 'ingested', label: 'after item commit', nth: [1, 2] },
  { step: 'claiming', label: 'before claim', nth: [2, 3] },
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
