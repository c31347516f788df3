import type { HistoryEvent } from './ledger/tables.ts';
import { OUTCOMES } from './outcome.ts';

/**
 * The lines of a history that are about a call to the target which was made, or which may have been. Each
 * is an attempt: what costs none of `MAX_ATTEMPTS`, because the target was not well, is one as well.
 */
export const ATTEMPT_EVENTS: string[] = [
  ...OUTCOMES.filter((outcome) => outcome !== 'withdrawn'),
  'lease_lost',
];

/**
 * Numbers the attempts of a history from 1, over replays and repairs, so that the last number is how many
 * there were. A read of the target has the number of the attempt that it asks about.
 */
export function numberAttempts(history: HistoryEvent[]): HistoryEvent[] {
  let count = 0;
  return history.map((event) => {
    if (ATTEMPT_EVENTS.includes(event.what)) count += 1;
    const isAbout = event.attempt !== null && event.what !== 'withdrawn' && count > 0;
    return { ...event, attempt: isAbout ? count : null };
  });
}

/** How many attempts a history has, once they are numbered. */
export function countAttempts(numbered: HistoryEvent[]): number {
  return Math.max(0, ...numbered.map(({ attempt }) => attempt ?? 0));
}
