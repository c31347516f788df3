/** The two clocks that decisions about time need. */
export interface Clocks {
  /** Unix time in milliseconds. */
  now: () => number;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
}

/** Those of this process. */
export const CLOCKS: Clocks = { now: Date.now, monotonicNow: () => performance.now() };

/** The clocks, and what spreads waits so that not all of them end at once. */
export interface ClocksAndRandom extends Clocks {
  /** From 0 to below 1. */
  random: () => number;
}
