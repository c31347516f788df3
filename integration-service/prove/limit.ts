/** Runs a function when its turn comes; an urgent one goes before all that wait. */
export type Limit = <Value>(
  run: () => Promise<Value>,
  options?: { isUrgent?: boolean },
) => Promise<Value>;

/** Lets `max` functions run at the same time; the others wait, first come, first served. */
export function createLimit(max: number): Limit {
  const waiting: (() => void)[] = [];
  let free = max;

  return async (run, { isUrgent = false } = {}) => {
    if (free > 0) free -= 1;
    else {
      await new Promise<void>((resolve) =>
        isUrgent ? waiting.unshift(resolve) : waiting.push(resolve),
      );
    }
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
