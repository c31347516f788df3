/** The longest wait for the next attempt, whatever a target asks for. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Longer than any wait that this code sets. A delivery that waits longer was written under a clock
 * that was wrong.
 */
export const MAX_WAIT_MS = MAX_RETRY_AFTER_MS + 300_000;

const BASE_MS = 1_000;
const CAP_MS = 300_000;

/**
 * How long to wait after the `attempt`th attempt, from 1: exponential with full jitter, which spreads
 * retries best (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Up to 1 s
 * after the first, 2 s, 4 s, …, from the tenth on up to 5 min; half of that on average.
 *
 * @param random from 0 to below 1
 * @param capMs where it ends. Default: 5 min
 */
export function backoffMs(attempt: number, random: () => number, capMs = CAP_MS): number {
  return Math.floor(random() * Math.min(capMs, BASE_MS * 2 ** (attempt - 1)));
}

const IMF_FIXDATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * The wait that a `Retry-After` header asks for, seconds or a date (RFC 9110, section 10.2.3), from 0
 * to one hour; `undefined` for anything else. `Date.parse` would take `-5` and `1.5` for dates.
 *
 * @param now Unix time in milliseconds
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const waitMs = /^\d{1,9}$/.test(value)
    ? Number(value) * 1_000
    : IMF_FIXDATE.test(value)
      ? Date.parse(value) - now
      : Number.NaN;
  if (Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}
