/**
 * Whose matter a 429 is: the system's, which wants fewer calls of all kinds; perhaps that of the one
 * delivery, which the next call is to show; or certainly its own.
 */
export type Verdict = 'system' | 'perhaps its own' | 'its own';

/** The key of a delivery, or what stands for the reads of the target. */
type Key = string | symbol;

/** As many are suspected at the same time. */
const MAX_SUSPECTS = 3;
/** How many others must have been accepted, at the most. */
const MAX_WITNESSES = 8;
/** What is remembered; beyond, all is forgotten. */
const MAX_REMEMBERED = 10_000;

/**
 * Tells a delivery that is always answered 429 from a system that wants fewer calls, so that no such
 * delivery stops all others for ever. The first 429 of a delivery is the system's. One that comes again
 * after others were accepted makes a suspect: there is no pause, and when the next call is accepted, it
 * was the delivery's own; it stays so until the delivery is accepted, or another gets a 429 of the
 * system's. Whenever a suspicion was wrong, twice as many must have been accepted before the next one.
 */
export function createOffenders() {
  let accepted = 0;
  /** How many had been accepted at the last 429 of each. */
  const throttled = new Map<Key, number>();
  /** The suspects, and how many 429 each of them has had as such. */
  const suspects = new Map<Key, number>();
  /** Calls up to this one say nothing of the suspects. */
  let suspectedAt = 0;
  /** Those whose own it is, and how many 429 each of them has had since it became a suspect. */
  const convicted = new Map<Key, number>();
  let witnesses = 1;

  return {
    /** A call was accepted. Calls are numbered in the order in which they begin. */
    accept(call: number, key: Key | undefined): void {
      accepted += 1;
      if (key !== undefined) for (const each of [throttled, suspects, convicted]) each.delete(key);
      if (call <= suspectedAt) return;
      if (suspects.size > 0) witnesses = 1;
      if (convicted.size + suspects.size > MAX_REMEMBERED) convicted.clear();
      for (const [each, times] of suspects) convicted.set(each, times);
      suspects.clear();
    },

    /** A call was answered 429, when `calls` have begun. */
    judge(key: Key, calls: number): { verdict: Verdict; times: number } {
      const convictedTimes = convicted.get(key);
      if (convictedTimes !== undefined) {
        convicted.set(key, convictedTimes + 1);
        return { verdict: 'its own', times: convictedTimes + 1 };
      }
      const before = throttled.get(key);
      if (throttled.size >= MAX_REMEMBERED) throttled.clear();
      throttled.set(key, accepted);
      const isSuspect =
        before !== undefined && accepted - before >= witnesses && suspects.size < MAX_SUSPECTS;
      if (isSuspect || suspects.has(key)) {
        const times = (suspects.get(key) ?? 0) + 1;
        suspects.set(key, times);
        suspectedAt = calls;
        return { verdict: 'perhaps its own', times };
      }
      if (suspects.size > 0) witnesses = Math.min(witnesses * 2, MAX_WITNESSES);
      suspects.clear();
      convicted.clear();
      return { verdict: 'system', times: 1 };
    },
  };
}
