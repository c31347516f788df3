import type { Claim } from '../delivery.ts';

/** As many deliveries are claimed ahead as were recently sent in this time. */
const AHEAD_MS = 100;
const MAX_AHEAD = 1_024;

/**
 * Claimed deliveries that wait to be sent. For a fast target there are many of them, because a transaction
 * takes as long as many calls. For a slow target there are none: other replicas can claim the deliveries,
 * and little must be settled after a crash.
 */
export function createQueue(options: {
  /** Batches that may be under way at the same time. */
  concurrency: number;
  /** The most deliveries of a batch. With more than one, no batch is claimed ahead. */
  atMost: number;
  monotonicNow: () => number;
}) {
  const { concurrency, atMost, monotonicNow } = options;
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
    /** At most half of what was claimed ahead is left: it is time to claim more while the rest is sent. */
    isLow,
    /** How many deliveries may be claimed while `sending` batches are being sent. */
    room(sending: number): number {
      if (atMost > 1) return sending < concurrency && length() === 0 ? atMost : 0;
      if (!isLow()) return 0;
      const elapsedMs = Math.max(endedAt - addedAt, 1);
      ahead = Math.min(Math.floor((ended * AHEAD_MS) / elapsedMs), MAX_AHEAD);
      return concurrency - sending + ahead - length();
    },
    add(claims: Claim[]): void {
      [waiting, next] = [[...waiting.slice(next), ...claims], 0];
      [ended, addedAt] = [0, monotonicNow()];
    },
    /** Removes and returns a batch: the deliveries that have waited longest. */
    take(): Claim[] {
      const batch = waiting.slice(next, next + atMost);
      next += batch.length;
      return batch;
    },
    /** A batch has been sent. */
    end(): void {
      ended += 1;
      endedAt = monotonicNow();
    },
  };
}
