import fc from 'fast-check';
import { MAX_RETRY_AFTER_MS } from 'service-kit/retry';
import { describe, expect, it } from 'vitest';
import type { Claim } from './delivery.ts';
import type { Outcome } from './outcome.ts';
import { afterAttempt, afterRead, READS_OF_EXISTING, READS_OF_RELEASED } from './transition.ts';

const NOW = 1_767_225_600_000;
const CLAIM: Claim = {
  sequence: 1,
  leg: 'welcome-package',
  key: 'a',
  customerId: 'a',
  payload: {},
  attempts: 3,
  reads: 0,
  fencingToken: 1,
  lastError: 'reset',
  createdAt: NOW - 60_000,
};
// The wait after the third attempt is up to 4 s, here 2 s.
const POLICY = { maxAttempts: 5, now: NOW, random: () => 0.5 };
const LAST = { attempts: POLICY.maxAttempts };

const REFUSED_CONNECTION: Outcome = { kind: 'transient', reason: 'ECONNREFUSED', isSent: false };
const BUSY: Outcome = { kind: 'transient', reason: '503', statusCode: 503, isSent: true };
const DELIVERED: Outcome = { kind: 'delivered', evidence: 'request 7', statusCode: 201 };
const DENIED: Outcome = { kind: 'unauthorized', reason: '401', statusCode: 401 };
const RESET: Outcome = { kind: 'unknown', reason: 'reset' };
const EXISTING: Outcome = { kind: 'unknown', reason: '409', saysItExists: true };
const INVALID: Outcome = { kind: 'permanent', reason: '422', statusCode: 422 };
const ABORTED: Outcome = { kind: 'aborted', reason: 'too late' };

/** Status, attempts, when it is due (in milliseconds from now) and the last error, in short. */
function short({ status, attempts, nextAttemptAt, lastError }: ReturnType<typeof afterRead>) {
  return [status, attempts, nextAttemptAt === null ? null : nextAttemptAt - NOW, lastError];
}

describe('after an attempt', () => {
  it.each<[string, Outcome, Partial<Claim & { isProbe: boolean }>, unknown[]]>([
    ['that succeeded', DELIVERED, {}, ['delivered', 3, null, null]],
    ['that succeeded as the last one', DELIVERED, LAST, ['delivered', 5, null, null]],
    ['that was refused', INVALID, {}, ['dead', 3, null, '422']],
    ['that was the first, and refused', INVALID, { attempts: 1 }, ['dead', 1, null, '422']],
    ['that we aborted', ABORTED, {}, ['pending', 2, 0, 'too late']],
    ['that we aborted as the last one', ABORTED, LAST, ['pending', 4, 0, 'too late']],
    ['that was not let in', DENIED, {}, ['pending', 2, 0, '401']],
    ['that was not let in, the last one', DENIED, LAST, ['pending', 4, 0, '401']],
    ['with no clear answer', RESET, {}, ['unknown', 3, 500, 'reset']],
    ['with no clear answer, the last one', RESET, LAST, ['unknown', 5, 500, 'reset']],
    ['that was refused as there already', EXISTING, {}, ['unknown', 3, 500, '409']],
    ['that met a busy target', BUSY, {}, ['pending', 3, 2_000, '503']],
    ['that met a busy target, the last', BUSY, LAST, ['dead', 5, null, '503']],
    ['over the limit, lowered since', BUSY, { attempts: 9 }, ['dead', 9, null, '503']],
    ['without a connection', REFUSED_CONNECTION, {}, ['pending', 3, 2_000, 'ECONNREFUSED']],
    ['without one, the last', REFUSED_CONNECTION, LAST, ['dead', 5, null, 'ECONNREFUSED']],
    [
      'as a probe without a connection',
      REFUSED_CONNECTION,
      { isProbe: true },
      ['pending', 2, 2_000, 'ECONNREFUSED'],
    ],
    [
      'as a probe without a connection, the last one',
      REFUSED_CONNECTION,
      { ...LAST, isProbe: true },
      ['pending', 4, 8_000, 'ECONNREFUSED'],
    ],
    ['as a probe of a busy target', BUSY, { isProbe: true }, ['pending', 2, 2_000, '503']],
    ['the last, as a probe', BUSY, { ...LAST, isProbe: true }, ['pending', 4, 8_000, '503']],
  ])('%s', (_, outcome, { isProbe, ...claim }, expected) => {
    const policy = { ...POLICY, ...(isProbe && { isProbe }) };
    expect(short(afterAttempt({ ...CLAIM, ...claim }, outcome, policy))).toEqual(expected);
  });

  it.each([
    [undefined, 2_000],
    [0, 2_000],
    [1_999, 2_000],
    [2_001, 2_001],
    [MAX_RETRY_AFTER_MS, MAX_RETRY_AFTER_MS],
  ])('that asked us to wait %d ms, waits %d ms', (retryAfterMs, waitMs) => {
    const { nextAttemptAt } = afterAttempt(CLAIM, { ...BUSY, retryAfterMs }, POLICY);
    expect(nextAttemptAt).toBe(NOW + waitMs);
  });

  it('writes down what happened, at which attempt, and why', () => {
    const eventAfter = (outcome: Outcome) => afterAttempt(CLAIM, outcome, POLICY).event;
    expect([DELIVERED, BUSY, RESET, ABORTED].map(eventAfter)).toEqual([
      { what: 'delivered', attempt: 3, statusCode: 201, reason: 'request 7' },
      { what: 'transient', attempt: 3, statusCode: 503, reason: '503' },
      { what: 'unknown', attempt: 3, reason: 'reset' },
      { what: 'aborted', attempt: 3, reason: 'too late' },
    ]);
  });
});

describe('after the target was asked what became of an attempt', () => {
  it.each<[string, Partial<Claim>, string | undefined, number | null, unknown[]]>([
    ['it has it', {}, 'request 7', 0, ['delivered', 3, null, null]],
    ['it has it, seen late', { ...LAST, reads: 2 }, 'request 7', 0, ['delivered', 5, null, null]],
    ['it has it, without an id', {}, '', 0, ['delivered', 3, null, null]],
    ['first no', {}, undefined, 1, ['unknown', 3, 2_000, 'reset']],
    ['second no', { reads: 1 }, undefined, 2, ['unknown', 3, 8_000, 'reset']],
    ['third no', { reads: 2 }, undefined, 0, ['pending', 3, 2_000, 'reset']],
    ['second no of the last', { ...LAST, reads: 1 }, undefined, 2, ['unknown', 5, 8_000, 'reset']],
    ['third no of the last', { ...LAST, reads: 2 }, undefined, 0, ['dead', 5, null, 'reset']],
  ])('%s', (_, claim, evidence, reads, expected) => {
    const transition = afterRead({ ...CLAIM, ...claim }, evidence, POLICY);
    expect(short(transition)).toEqual(expected);
    expect(transition.reads).toBe(reads);
    expect(transition.event).toMatchObject(
      evidence === undefined ? { what: 'not_found' } : { what: 'found', reason: evidence },
    );
  });

  const existing = { reads: READS_OF_EXISTING, lastError: '409' };
  it.each<[string, Partial<Claim>, string | undefined, unknown[]]>([
    ['what it says exists is not there', existing, undefined, ['dead', 3, null, '409']],
    ['what it says exists is there', existing, 'request 7', ['delivered', 3, null, null]],
    ['released, no', { reads: READS_OF_RELEASED }, undefined, ['pending', 0, 0, 'reset']],
    [
      'released after the last, no',
      { ...LAST, reads: READS_OF_RELEASED },
      undefined,
      ['pending', 0, 0, 'reset'],
    ],
    [
      'released, and it has it',
      { reads: READS_OF_RELEASED },
      'request 7',
      ['delivered', 3, null, null],
    ],
  ])('one read decides: %s', (_, claim, evidence, expected) => {
    const policy = { ...POLICY, doubt: 'too short' };
    expect(short(afterRead({ ...CLAIM, ...claim }, evidence, policy))).toEqual(expected);
    expect(afterAttempt(CLAIM, EXISTING, POLICY)).toMatchObject(existing);
  });

  it.each<[string, Partial<Claim>, string | undefined, unknown[]]>([
    ['first no', {}, undefined, ['unknown', 3, 2_000, 'reset']],
    ['third no', { reads: 2 }, undefined, ['held', 3, null, 'too short']],
    ['third no of the last', { ...LAST, reads: 2 }, undefined, ['held', 5, null, 'too short']],
    ['it has it', { reads: 2 }, 'request 7', ['delivered', 3, null, null]],
  ])('a list that lacks what was delivered sends nothing: %s', (_, claim, evidence, expected) => {
    const policy = { ...POLICY, doubt: 'too short' };
    const transition = afterRead({ ...CLAIM, ...claim }, evidence, policy);
    expect(short(transition)).toEqual(expected);
    if (transition.status !== 'held') return;
    expect(transition.event).toEqual({
      what: 'held',
      attempt: transition.attempts,
      reason: 'too short',
    });
  });
});

const retryAfterMs = fc.option(fc.nat({ max: MAX_RETRY_AFTER_MS }), { nil: undefined });
const outcome = fc.oneof(
  fc.constantFrom(DELIVERED, DENIED, RESET, EXISTING, INVALID, ABORTED),
  fc
    .tuple(fc.constantFrom(BUSY, REFUSED_CONNECTION, RESET), retryAfterMs)
    .map(([base, wait]) => ({ ...base, retryAfterMs: wait }) as Outcome),
);
const attempted = fc.record({ outcome, isProbe: fc.boolean() });
const read = fc.record({
  evidence: fc.option(fc.string(), { nil: undefined }),
  doubt: fc.constantFrom(undefined, 'too short'),
});

it('whatever happens, a delivery is due within the hour or at its end, with attempts left', () => {
  const luck = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const arbitrary = [
    fc.integer({ min: 1, max: 50 }),
    fc.nat(),
    fc.integer({ min: READS_OF_EXISTING, max: READS_OF_RELEASED }),
    luck,
  ] as const;
  fc.assert(
    fc.property(...arbitrary, fc.oneof(attempted, read), (max, nth, reads, value, happened) => {
      const claim = { ...CLAIM, attempts: 1 + (nth % max), reads };
      const policy = { maxAttempts: max, now: NOW, random: () => value };
      const { status, attempts, nextAttemptAt } =
        'outcome' in happened
          ? afterAttempt(claim, happened.outcome, { ...policy, isProbe: happened.isProbe })
          : afterRead(claim, happened.evidence, { ...policy, doubt: happened.doubt });
      expect(nextAttemptAt === null).toBe(['delivered', 'dead', 'held'].includes(status));
      expect(attempts).toBeLessThanOrEqual(claim.attempts);
      if (status === 'pending') expect(attempts).toBeLessThan(max);
      if (nextAttemptAt === null) return;
      expect(nextAttemptAt).toSatisfy(Number.isInteger);
      expect(nextAttemptAt - NOW).toBeGreaterThanOrEqual(0);
      expect(nextAttemptAt - NOW).toBeLessThanOrEqual(MAX_RETRY_AFTER_MS);
    }),
  );
});
