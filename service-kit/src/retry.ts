/** The longest wait for the next attempt, even if a target asks for more. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * Longer than any wait that this code sets. If a delivery waits longer, the clock was wrong when its wait
 * was written.
 */
export const MAX_WAIT_MS = MAX_RETRY_AFTER_MS + 300_000;

const BASE_MS = 1_000;
const CAP_MS = 300_000;

/**
 * How long to wait after the `attempt`th attempt, from 1: exponential with full jitter, which spreads
 * retries best (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Up to 1 s
 * after the first attempt, then 2 s, 4 s, …, and up to 5 min from the tenth on; half of that on average.
 *
 * @param random returns a number from 0 to below 1
 * @param capMs the longest wait. Default: 5 min
 */
export function backoffMs(attempt: number, random: () => number, capMs = CAP_MS): number {
  return Math.floor(random() * Math.min(capMs, BASE_MS * 2 ** (attempt - 1)));
}

/** HTTP dates (RFC 9110, section 5.6.7): the current form and the two obsolete ones. */
const DATES = [
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d{2}:\d{2}:\d{2}) (?<year>\d{4})$/,
];
/** A comma between values, not the comma inside a date. */
const COMMA = /[ \t]*,(?! \d{2}[ -])[ \t]*/;

/**
 * The wait that a `Retry-After` header asks for, in seconds or as a date (RFC 9110, section 10.2.3), from
 * 0 to one hour; `undefined` for anything else. (`Date.parse` would accept `-5` and `1.5` as dates.) If
 * the header is repeated, as when a proxy adds its own, the longest wait counts.
 *
 * @param value the header's lines, or all of them joined by commas
 * @param now Unix time in milliseconds
 */
export function parseRetryAfter(
  value: string | string[] | undefined,
  now: number,
): number | undefined {
  const elements = [value ?? []].flat().flatMap((line) => line.split(COMMA));
  const trimmed = elements.map((element) => element.replace(/^[ \t]+|[ \t]+$/g, ''));
  const waits = trimmed.filter(Boolean).map((element) => waitOf(element, now));
  const waitMs = Math.max(...waits);
  if (waits.length === 0 || Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}

/** The wait in milliseconds; NaN if the element is neither seconds nor a date. */
function waitOf(element: string, now: number): number {
  if (/^\d+$/.test(element)) return Number(element) * 1_000;
  const { groups } = DATES.map((form) => form.exec(element)).find(Boolean) ?? {};
  if (!groups) return Number.NaN;
  const { day, month, year = '', time } = groups;
  const fullYear = year.length === 2 ? nearYear(Number(year), new Date(now)) : year;
  return Date.parse(`${day} ${month} ${fullYear} ${time} GMT`) - now;
}

/** The year with these last two digits that is at most 50 years ahead, as the RFC requires. */
function nearYear(lastDigits: number, now: Date): number {
  const latest = now.getUTCFullYear() + 50;
  return latest - ((latest - lastDigits) % 100);
}
