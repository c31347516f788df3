import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Item } from '../delivery.ts';
import { chunksOf } from '../ledger/history.ts';
import type { IngestCounts, Ledger } from '../ledger/ledger.ts';

export interface SurgeGuardOptions {
  flow: string;
  ledger: Pick<Ledger, 'findNew'>;
  /** More new items than this at once are held. Default: there is no limit. */
  limit?: number | undefined;
  /** Items that come within this time come at once. */
  windowMs: number;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
}

/** Decides whether a source brings too much that is new: all of it is then held. */
export interface SurgeGuard {
  limit: number | undefined;
  /**
   * Whether there are more new items than may come now.
   *
   * @param items are looked up before the first of them is written, because all of them are held or none
   */
  isSurge(items: Iterable<Item>, signal?: AbortSignal): Promise<boolean>;
  /** Counts what was ingested. What comes after the limit was exceeded is a part of the same surge. */
  count(counts: IngestCounts): void;
}

/** A guard of one source. The first item after the end of a window begins the next window. */
export function createSurgeGuard(options: SurgeGuardOptions): SurgeGuard {
  const { flow, ledger, limit, windowMs, monotonicNow } = options;
  let endsAt = Number.NEGATIVE_INFINITY;
  let allowed = 0;

  return {
    limit,
    async isSurge(items, signal) {
      if (limit === undefined) return false;
      if (monotonicNow() >= endsAt) [endsAt, allowed] = [monotonicNow() + windowMs, limit];
      const keys = new Set<string>();
      for (const chunk of chunksOf(items)) {
        const chunkKeys = chunk.map(({ key }) => key);
        for (const key of await ledger.findNew(flow, chunkKeys)) keys.add(key);
        if (keys.size > allowed) return true;
        if (signal?.aborted) return false;
        await yieldToOthers();
      }
      return false;
    },
    count(counts) {
      allowed = counts.held > 0 ? 0 : allowed - counts.new;
    },
  };
}
