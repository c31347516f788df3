import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from 'service-kit/retry';

export interface RetryOptions {
  /** The longest wait between two attempts, in milliseconds. */
  longestMs: number;
  /** From 0 to below 1. */
  random: () => number;
  /** Ends the attempts. */
  signal: AbortSignal;
  /** Called after each attempt that failed, with its number from 1. */
  onFailure: (error: unknown, attempt: number) => void;
}

/** Tries until it succeeds, with waits in between; false if it was ended before. */
export async function retryUntilDone(
  tryOnce: (attempt: number) => Promise<void>,
  { longestMs, random, signal, onFailure }: RetryOptions,
): Promise<boolean> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      await tryOnce(attempt);
      return true;
    } catch (error) {
      if (!signal.aborted) onFailure(error, attempt);
    }
    await sleep(backoffMs(attempt, random, longestMs), undefined, { signal }).catch(() => {});
  }
  return false;
}
