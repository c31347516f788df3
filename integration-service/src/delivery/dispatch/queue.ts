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
  const waiting: Claim[] = [];
  let ended = 0;
  let ahead = 0;
  let addedAt = monotonicNow();
  let endedAt = addedAt;

  const isLow = () => waiting.length <= ahead / 2;

  return {
    isEmpty: () => waiting.length === 0,
    /** At most half of what was claimed ahead is left: it is time to claim more while the rest is sent. */
    isLow,
    /** How many deliveries may be claimed while `sending` batches are being sent. */
    room(sending: number): number {
      if (atMost > 1) return sending < concurrency && waiting.length === 0 ? atMost : 0;
      if (!isLow()) return 0;
      const elapsedMs = Math.max(endedAt - addedAt, 1);
      ahead = Math.min(Math.floor((ended * AHEAD_MS) / elapsedMs), MAX_AHEAD);
      return concurrency - sending + ahead - waiting.length;
    },
    add(claims: Claim[]): void {
      waiting.push(...claims);
      [ended, addedAt] = [0, monotonicNow()];
    },
    /** Removes and returns a batch: the deliveries that have waited longest. */
    take: () => waiting.splice(0, atMost),
    /** A batch has been sent. */
    end(): void {
      ended += 1;
      endedAt = monotonicNow();
    },
  };
}
