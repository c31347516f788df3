import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, MAX_RETRY_AFTER_MS, MAX_WAIT_MS, parseRetryAfter } from './retry.ts';

const NOW = Date.parse('2026-11-06T08:49:37Z');
const FIVE_MINUTES = 300_000;
const justBelowOne = 1 - Number.EPSILON / 2;

const attempt = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 1_000_000 }));
const random = fc.oneof(
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  fc.constantFrom(0, justBelowOne),
);
/** The upper bound of a wait: 1 s after the first attempt, doubled after each, at most 5 min. */
const bound = (n: number) => Math.min(FIVE_MINUTES, 1_000 * 2 ** (n - 1));

describe('the back-off', () => {
  it('is a whole number of milliseconds from 0 to below its bound', () => {
    fc.assert(
      fc.property(attempt, random, (n, value) => {
        const waitMs = backoffMs(n, () => value);
        expect(waitMs).toSatisfy(Number.isInteger);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThan(bound(n));
        expect(waitMs).toBeLessThan(MAX_WAIT_MS);
      }),
    );
  });

  it('uses all of the room below its bound, evenly', () => {
    fc.assert(
      fc.property(attempt, random, (n, value) => {
        expect(backoffMs(n, () => value)).toBe(Math.floor(value * bound(n)));
      }),
    );
  });

  it('never gets shorter from one attempt to the next by the same luck', () => {
    fc.assert(
      fc.property(attempt, attempt, random, (one, other, value) => {
        const [earlier, later] = [Math.min(one, other), Math.max(one, other)];
        expect(backoffMs(earlier, () => value)).toBeLessThanOrEqual(backoffMs(later, () => value));
      }),
    );
  });

  it.each([
    [1, 999],
    [2, 1_999],
    [3, 3_999],
    [9, 255_999],
    [10, 299_999],
    [25, 299_999],
    [1_000_000, 299_999],
    [Number.MAX_SAFE_INTEGER, 299_999],
  ])('after attempt %d is from 0 to %d ms', (n, longest) => {
    expect(backoffMs(n, () => 0)).toBe(0);
    expect(backoffMs(n, () => justBelowOne)).toBe(longest);
  });

  it('rolls the dice once for each wait', () => {
    let rolls = 0;
    backoffMs(3, () => ++rolls / 10);
    expect(rolls).toBe(1);
  });
});

describe('a Retry-After header', () => {
  it.each([
    ['0', 0],
    ['1', 1_000],
    ['007', 7_000],
    ['120', 120_000],
    ['3599', 3_599_000],
    ['3600', MAX_RETRY_AFTER_MS],
    ['3601', MAX_RETRY_AFTER_MS],
    ['999999999', MAX_RETRY_AFTER_MS],
    ['Fri, 06 Nov 2026 08:49:38 GMT', 1_000],
    ['Fri, 06 Nov 2026 08:59:37 GMT', 600_000],
    ['Fri, 06 Nov 2026 08:49:37 GMT', 0],
    ['Fri, 06 Nov 2026 08:49:36 GMT', 0],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sat, 06 Nov 2027 08:49:37 GMT', MAX_RETRY_AFTER_MS],
    ['Friday, 06-Nov-26 08:59:37 GMT', 600_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    // The year 2076 is not more than 50 years ahead; the other date is in 1977.
    ['Friday, 06-Nov-76 08:59:37 GMT', MAX_RETRY_AFTER_MS],
    ['Sunday, 06-Nov-77 08:59:37 GMT', 0],
    ['Fri Nov  6 08:59:37 2026', 600_000],
    ['Mon Nov 16 08:49:37 2026', MAX_RETRY_AFTER_MS],
    ['1000000000', MAX_RETRY_AFTER_MS],
    ['9'.repeat(400), MAX_RETRY_AFTER_MS],
    [' 5\t', 5_000],
    ['Fri, 31 Dec 9999 23:59:59 GMT', MAX_RETRY_AFTER_MS],
  ])('in seconds or as a date is a wait of up to an hour: %j', (value, waitMs) => {
    expect(parseRetryAfter(value, NOW)).toBe(waitMs);
  });

  const otherNumbers = ['-1', '-5', '+5', '1.5', '1e9', '0x10', '1_000', '10 000', 'Infinity'];
  const notAscii = ['٣', '5\n', '５'];
  const nothing = ['', ' ', '\t', ','];
  const words = ['soon', 'null', 'true', '5s', '5 10', '5, soon', '[5]'];
  const otherDates = [
    '2026-11-06T08:59:37Z',
    '2026-11-06',
    'Friday, 06-Nov-2026 08:59:37 GMT',
    'Fri, 06-Nov-26 08:59:37 GMT',
    'Fri Nov 6 08:59:37 2026',
    'Fri Nov  6 08:59:37 2026 GMT',
    'Fri, 06 Nov 2026 08:59:37 +0000',
    'Fri, 06 Nov 2026 08:59:37 PST',
    'Fri, 6 Nov 2026 08:59:37 GMT',
    'fri, 06 nov 2026 08:59:37 gmt',
  ];
  const impossibleDates = [
    'Mon, 99 Foo 2026 00:00:00 GMT',
    'Fri, 06 Foo 2026 08:59:37 GMT',
    'Fri, 32 Nov 2026 08:59:37 GMT',
    'Fri, 00 Nov 2026 08:59:37 GMT',
    'Fri, 06 Nov 2026 25:00:00 GMT',
    'Fri, 06 Nov 2026 08:60:00 GMT',
    'Fri, 06 Nov 2026 08::9:37 GMT',
    'Friday, 99-Nov-26 08:59:37 GMT',
  ];
  it.each([
    ...[otherNumbers, notAscii, nothing, words, otherDates, impossibleDates].flat(),
    undefined,
  ])('that is anything else is ignored: %j', (value) => {
    expect(parseRetryAfter(value, NOW)).toBeUndefined();
  });

  it.each([
    [['5', '10'], 10_000],
    ['10, 5', 10_000],
    ['5 ,Fri, 06 Nov 2026 08:59:37 GMT', 600_000],
    [['Fri, 06 Nov 2026 08:49:38 GMT', 'Friday, 06-Nov-26 08:59:37 GMT'], 600_000],
    ['Fri, 06 Nov 2026 08:59:37 GMT, 5', 600_000],
    ['Fri Nov  6 08:59:37 2026, Fri, 06 Nov 2026 08:49:38 GMT,', 600_000],
    [['5', 'soon'], undefined],
    [[], undefined],
  ])('that came more than once asks for the longest wait: %j', (value, waitMs) => {
    expect(parseRetryAfter(value, NOW)).toBe(waitMs);
  });

  it('never makes us wait less than nothing or more than an hour, whatever it says', () => {
    const anyDate = fc
      .date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toUTCString());
    const looksLikeADate = fc.stringMatching(
      /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
    );
    const value = fc.oneof(fc.string(), fc.nat().map(String), anyDate, looksLikeADate);
    fc.assert(
      fc.property(value, fc.nat({ max: 4e12 }), (text, now) => {
        const waitMs = parseRetryAfter(text, now);
        if (waitMs === undefined) return;
        expect(waitMs).toSatisfy(Number.isInteger);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThanOrEqual(MAX_RETRY_AFTER_MS);
      }),
    );
  });
});
