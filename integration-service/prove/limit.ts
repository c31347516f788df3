/** Waits for its turn. Disposing of the turn lets the next one begin. */
export type Limit = (options?: { isUrgent: boolean }) => Promise<Disposable>;

/** Lets `max` things happen at the same time; the others wait in line, urgent ones before all others. */
export function createLimit(max: number): Limit {
  const waiting: (() => void)[] = [];
  let free = max;
  return async ({ isUrgent } = { isUrgent: false }) => {
    free -= 1;
    if (free < 0) {
      const { promise: turn, resolve } = Promise.withResolvers<void>();
      waiting[isUrgent ? 'unshift' : 'push'](resolve);
      await turn;
    }
    return {
      [Symbol.dispose]() {
        free += 1;
        waiting.shift()?.();
      },
    };
  };
}
