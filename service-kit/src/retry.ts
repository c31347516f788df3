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

/** HTTP dates (RFC 9110, section 5.6.7): as they are written today, and in the two obsolete forms. */
const DATES = [
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d{2}:\d{2}:\d{2}) (?<year>\d{4})$/,
];
/** Not the comma of a date. */
const COMMA = /[ \t]*,(?! \d{2}[ -])[ \t]*/;

/**
 * The wait that a `Retry-After` header asks for, seconds or a date (RFC 9110, section 10.2.3), from 0
 * to one hour; `undefined` for anything else. `Date.parse` would take `-5` and `1.5` for dates. When it
 * came more than once, as when a proxy adds its own, the longest wait counts.
 *
 * @param value of each line, or of all lines with commas between them
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

/** In milliseconds; NaN when it is neither seconds nor a date. */
function waitOf(element: string, now: number): number {
  if (/^\d+$/.test(element)) return Number(element) * 1_000;
  const { groups } = DATES.map((form) => form.exec(element)).find(Boolean) ?? {};
  if (!groups) return Number.NaN;
  const { day, month, year = '', time } = groups;
  const fullYear = year.length === 2 ? nearYear(Number(year), new Date(now)) : year;
  return Date.parse(`${day} ${month} ${fullYear} ${time} GMT`) - now;
}

/** The year with these last two digits that is no more than 50 years ahead, as the RFC has it. */
function nearYear(lastDigits: number, now: Date): number {
  const latest = now.getUTCFullYear() + 50;
  return latest - ((latest - lastDigits) % 100);
}
