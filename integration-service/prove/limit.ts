/** Resolves with a function that lets the next one begin. An urgent one goes before all that wait. */
export type Limit = (options: { isUrgent: boolean }) => Promise<() => void>;

/** Lets `max` things happen at the same time; the others wait, first come, first served. */
export function createLimit(max: number): Limit {
  const waiting: (() => void)[] = [];
  let free = max;

  return async ({ isUrgent }) => {
    if (free > 0) free -= 1;
    else {
      const { promise: turn, resolve } = Promise.withResolvers<void>();
      if (isUrgent) waiting.unshift(resolve);
      else waiting.push(resolve);
      await turn;
    }
    return () => {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    };
  };
}
