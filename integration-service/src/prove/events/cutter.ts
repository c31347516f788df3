import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What a cut keeps from arriving: the next thing that the client sends, or the next that it is answered,
 * so that it does not know that it was heard.
 */
export type Lost = 'request' | 'answer';

/** Cuts a connection when the moment has come. */
export interface Cutter {
  /** Resolves when it is cut. Rejects when there is nothing to be cut for a minute, or at the signal. */
  cut(lost: Lost): Promise<void>;
  /** Whether what is at hand is to be lost now: once for each cut. */
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
