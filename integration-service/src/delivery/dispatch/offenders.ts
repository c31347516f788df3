/**
 * Why a call was answered 429: the system asks for fewer calls of all kinds; or this one delivery is perhaps
 * the cause, which the next call is to show; or it certainly is.
 */
export type Verdict = 'system' | 'perhaps its own' | 'its own';

/** The key of a delivery, or the symbol for the reads of the target. */
type Key = string | symbol;

/** The most deliveries that are suspects at the same time. */
const MAX_SUSPECTS = 3;
/** The most other calls that must be accepted before a delivery becomes a suspect. */
const MAX_WITNESSES = 8;
/** The most keys that are remembered; beyond that, all are forgotten. */
const MAX_REMEMBERED = 10_000;

/**
 * Distinguishes a delivery that is always answered 429 from a system that asks for fewer calls, so that no
 * such delivery stops all others for ever. The first 429 of a delivery is the system's. If the delivery
 * gets another one after other calls were accepted, it becomes a suspect: there is no pause, and if the
 * next call is accepted, the 429 was the delivery's own. It stays so until the delivery is accepted, or
 * another delivery gets a 429 that is the system's. After each wrong suspicion, twice as many calls must be
 * accepted before the next one.
 */
export function createOffenders() {
  let accepted = 0;
  /** By key: how many calls had been accepted at its last 429. */
  const throttled = new Map<Key, number>();
  /** The suspects, and how many 429s each has had as a suspect. */
  const suspects = new Map<Key, number>();
  /** Calls up to this number say nothing about the suspects: they began before the last suspicion. */
  let suspectedAt = 0;
  /** The deliveries whose 429 is their own, and how many 429s each has had since it became a suspect. */
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

    /** A call was answered 429; `calls` is how many have begun so far. */
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
