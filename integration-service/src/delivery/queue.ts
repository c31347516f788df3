import type { Claim } from './delivery.ts';

/** As much is claimed ahead as was sent in this time of late. */
const AHEAD_MS = 50;
const MAX_AHEAD = 512;

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
  let addedAt = monotonicNow();

  const isEmpty = () => next === waiting.length;

  return {
    isEmpty,
    /** How many may be claimed while so many are being sent: none as long as some wait. */
    room(sending: number): number {
      if (!isEmpty()) return 0;
      const elapsedMs = Math.max(monotonicNow() - addedAt, 1);
      return (
        concurrency - sending + Math.min(Math.floor((ended * AHEAD_MS) / elapsedMs), MAX_AHEAD)
      );
    },
    add(claims: Claim[]): void {
      [waiting, next] = [claims, 0];
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
    },
  };
}
