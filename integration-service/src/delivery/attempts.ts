import type { HistoryEvent } from './ledger/tables.ts';
import { OUTCOMES } from './outcome.ts';

/**
 * The events of a history that stand for a call to the target that was made, or that may have been made.
 * Each is an attempt, even if it does not count towards `MAX_ATTEMPTS` because the target did not work.
 */
export const ATTEMPT_EVENTS: string[] = [
  ...OUTCOMES.filter((outcome) => outcome !== 'aborted'),
  'lease_lost',
];

/**
 * Numbers the attempts of a history from 1, across replays and repairs, so that the last number is how many
 * there were. A read of the target gets the number of the attempt that it asks about.
 */
export function numberAttempts(history: HistoryEvent[]): HistoryEvent[] {
  let count = 0;
  return history.map((event) => {
    if (ATTEMPT_EVENTS.includes(event.what)) count += 1;
    const isAbout = event.attempt !== null && event.what !== 'aborted' && count > 0;
    return { ...event, attempt: isAbout ? count : null };
  });
}

/** How many attempts a history has, once they are numbered. */
export function countAttempts(numbered: HistoryEvent[]): number {
  return Math.max(0, ...numbered.map(({ attempt }) => attempt ?? 0));
}
