import type { Claim } from './delivery.ts';

/** As much is claimed ahead as was sent in this time of late. */
const AHEAD_MS = 100;
const MAX_AHEAD = 1_024;

/**
 * Deliveries that are claimed and wait for their turn to be sent. A fast target has many of them, as a
 * transaction takes the time of many calls; a slow one has none, which leaves them to other replicas,
 * and little to settle after a crash.
 */
export function createQueue(options: { concurrency: number; monotonicNow: () => number }) {
  const { concurrency, monotonicNow } = options;
  let waiting: Claim[] = [];
  let next = 0;
  let ended = 0;
  let ahead = 0;
  let addedAt = monotonicNow();
  let endedAt = addedAt;

  const length = () => waiting.length - next;
  const isLow = () => length() <= ahead / 2;

  return {
    isEmpty: () => length() === 0,
    /** Half of what was claimed ahead is gone: it is time to claim, while the rest goes out. */
    isLow,
    /** How many may be claimed while so many are being sent. */
    room(sending: number): number {
      if (!isLow()) return 0;
      const elapsedMs = Math.max(endedAt - addedAt, 1);
      ahead = Math.min(Math.floor((ended * AHEAD_MS) / elapsedMs), MAX_AHEAD);
      return concurrency - sending + ahead - length();
    },
    add(claims: Claim[]): void {
      [waiting, next] = [[...waiting.slice(next), ...claims], 0];
      [ended, addedAt] = [0, monotonicNow()];
    },
    /** The one that waits longest; there must be one. */
    take(): Claim {
      next += 1;
      return waiting[next - 1] as Claim;
    },
    /** One has been sent. */
    end(): void {
      ended += 1;
      endedAt = monotonicNow();
    },
  };
}
