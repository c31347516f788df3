import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What a cut loses: the next data that the client sends, or the next answer to it, so that the client does
 * not know that its request arrived.
 */
export type Lost = 'request' | 'answer';

/** Decides when a connection is cut. */
export interface Cutter {
  /**
   * Resolves when the cut has happened. Rejects if there was nothing to cut for a minute, or at the
   * signal.
   */
  cut(lost: Lost): Promise<void>;
  /** Whether the current data must be lost now; true once per cut. */
  isDue(at: Lost): boolean;
}

const DEADLINE_MS = 60_000;

export function createCutter(name: string, signal: AbortSignal): Cutter {
  let due: { lost: Lost; done: () => void } | undefined;
  return {
    async cut(lost) {
      const { promise, resolve } = Promise.withResolvers<void>();
      due = { lost, done: resolve };
      const over = new AbortController();
      const deadline = sleep(DEADLINE_MS, undefined, {
        signal: AbortSignal.any([signal, over.signal]),
      }).then(() => {
        throw new Error(`nothing came that could be cut: ${name}, ${lost}`);
      });
      try {
        await Promise.race([promise, deadline]);
      } finally {
        over.abort();
        deadline.catch(() => {});
      }
    },
    isDue(at) {
      if (due?.lost !== at) return false;
      due.done();
      due = undefined;
      return true;
    },
  };
}
