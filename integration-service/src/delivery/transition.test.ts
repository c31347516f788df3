import fc from 'fast-check';
import { MAX_RETRY_AFTER_MS } from 'service-kit/retry';
import { describe, expect, it } from 'vitest';
import type { Claim, Transition } from './delivery.ts';
import type { Outcome } from './outcome.ts';
import type { Finding } from './target.ts';
import {
  afterAttempt,
  afterLookUp,
  isLastLookUp,
  READS_OF_EXISTING,
  READS_OF_RELEASED,
  type Rules,
} from './transition.ts';

const NOW = 1_767_225_600_000;
const CLAIM: Claim = {
  sequence: 1,
  flow: 'welcome-package',
  key: 'a',
  lane: 'a',
  payload: '{}',
  operation: undefined,
  attempts: 3,
  reads: 0,
  fencingToken: 1,
  lastError: 'reset',
  createdAt: NOW - 60_000,
};
const ASKED: Rules['target'] = {
  name: 'inventory',
  isRepeatable: false,
  lookUpAfterMs: [500, 2_000, 8_000],
  async *list() {},
};
const REPEATABLE: Rules['target'] = { ...ASKED, isRepeatable: true };
/** A target that nobody can ask. */
const { list: _, ...MUTE } = ASKED;
const POLICY = { supersedes: false, maxAttempts: 5 };
const RULES: Rules = { target: ASKED, policy: POLICY };
// The wait after the third attempt is up to 4 s, here 2 s.
const MOMENT = { now: NOW, random: () => 0.5 };
const LAST = { attempts: POLICY.maxAttempts };

const REFUSED_CONNECTION: Outcome = { kind: 'transient', reason: 'ECONNREFUSED' };
const BUSY: Outcome = { kind: 'transient', reason: '503', statusCode: 503 };
const DELIVERED: Outcome = { kind: 'delivered', targetId: 'request 7', statusCode: 201 };
const STALE: Outcome = { kind: 'stale', reason: 'it has version 9', statusCode: 412 };
const DENIED: Outcome = { kind: 'unauthorized', reason: '401', statusCode: 401 };
const RESET: Outcome = { kind: 'unknown', reason: 'reset' };
const EXISTING: Outcome = { kind: 'unknown', reason: '409', saysItExists: true };
const INVALID: Outcome = { kind: 'permanent', reason: '422', statusCode: 422 };
const ABORTED: Outcome = { kind: 'aborted', reason: 'too late' };

/** Status, attempts, when it is due (in milliseconds from now) and the last error, in short. */
function short({ status, attempts, nextAttemptAt, lastError }: Transition) {
  return [status, attempts, nextAttemptAt === null ? null : nextAttemptAt - NOW, lastError];
}

describe('after an attempt', () => {
  it.each<[string, Outcome, Partial<Claim & { isProbe: boolean }>, unknown[]]>([
    ['that succeeded', DELIVERED, {}, ['delivered', 3, null, null]],
    ['that succeeded as the last one', DELIVERED, LAST, ['delivered', 5, null, null]],
    ['that was refused', INVALID, {}, ['dead', 3, null, '422']],
    ['that was the first, and refused', INVALID, { attempts: 1 }, ['dead', 1, null, '422']],
    ['that came too late', STALE, {}, ['dead', 3, null, 'it has version 9']],
    ['that was the first, and too late', STALE, { attempts: 1 }, ['dead', 1, null, STALE.reason]],
    ['too late, as a probe', STALE, { isProbe: true }, ['dead', 3, null, STALE.reason]],
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
    const moment = { ...MOMENT, ...(isProbe && { isProbe }) };
    const transition = afterAttempt({ ...CLAIM, ...claim }, outcome, RULES, moment);
    expect(short(transition)).toEqual(expected);
    const targetId = outcome.kind === 'delivered' ? outcome.targetId : undefined;
    expect(transition.targetId).toBe(targetId);
  });

  it.each<[string, Outcome, Partial<Claim & { isProbe: boolean }>, unknown[]]>([
    ['is tried again', RESET, {}, ['pending', 3, 2_000, 'reset']],
    ['was the first, and is tried again', RESET, { attempts: 1 }, ['pending', 1, 500, 'reset']],
    ['is tried again though it exists', EXISTING, {}, ['pending', 3, 2_000, '409']],
    ['was the last', RESET, LAST, ['dead', 5, null, 'reset']],
    ['was a probe', RESET, { isProbe: true }, ['pending', 2, 2_000, 'reset']],
    ['was the last, as a probe', RESET, { ...LAST, isProbe: true }, ['pending', 4, 8_000, 'reset']],
    ['asked us to wait', { ...RESET, retryAfterMs: 60_000 }, {}, ['pending', 3, 60_000, 'reset']],
  ])('with no clear answer at a repeatable target: it %s', (_, outcome, given, expected) => {
    const { isProbe, ...claim } = given;
    const rules = { ...RULES, target: REPEATABLE };
    const moment = { ...MOMENT, ...(isProbe && { isProbe }) };
    const transition = afterAttempt({ ...CLAIM, ...claim }, outcome, rules, moment);
    expect(short(transition)).toEqual(expected);
    expect(transition).toMatchObject({ reads: 0, event: { what: 'unknown', reason: expected[3] } });
  });

  it('with no clear answer is repeated at a repeatable target that nobody can ask', () => {
    const rules = { ...RULES, target: { ...MUTE, isRepeatable: true } };
    const transition = afterAttempt(CLAIM, RESET, rules, MOMENT);
    expect(short(transition)).toEqual(['pending', 3, 2_000, 'reset']);
  });

  it.each<[string, Outcome, Partial<Claim>]>([
    ['', RESET, {}],
    [', the first one,', RESET, { attempts: 1 }],
    [', the last one,', RESET, LAST],
    [', which says that it exists,', EXISTING, {}],
    [', which asks us to wait,', { ...RESET, retryAfterMs: 60_000 }, {}],
  ])('with no clear answer%s is held when nobody can ask the target', (_, outcome, given) => {
    const claim = { ...CLAIM, ...given };
    const transition = afterAttempt(claim, outcome, { ...RULES, target: MUTE }, MOMENT);
    const { reason } = outcome as { reason: string };
    const held = `${reason}; the inventory cannot be asked about it`;
    expect(short(transition)).toEqual(['held', claim.attempts, null, held]);
    expect(transition).toMatchObject({ reads: 0, event: { what: 'unknown', reason } });
  });

  it('with no clear answer is looked up where a target answers questions, or has a list', () => {
    const single: Rules['target'] = { ...MUTE, lookUp: async () => new Map() };
    for (const target of [ASKED, single]) {
      const transition = afterAttempt(CLAIM, RESET, { ...RULES, target }, MOMENT);
      expect(short(transition)).toEqual(['unknown', 3, 500, 'reset']);
    }
  });

  it.each<[string, Outcome, Rules['target'], number]>([
    ['that met a busy target', BUSY, ASKED, 200],
    ['that may be repeated', RESET, REPEATABLE, 200],
    ['that asked us to wait longer', { ...BUSY, retryAfterMs: 7_000 }, ASKED, 7_000],
  ])('%s waits no longer than the longest backoff', (_, outcome, target, waitMs) => {
    const rules = { target, policy: { ...POLICY, maxAttempts: 50, longestBackoffMs: 400 } };
    for (const attempts of [3, 20]) {
      const claim = { ...CLAIM, attempts };
      expect(afterAttempt(claim, outcome, rules, MOMENT).nextAttemptAt).toBe(NOW + waitMs);
    }
  });

  it('waits as long as the backoff says where that is shorter than the longest', () => {
    const rules = { ...RULES, policy: { ...POLICY, longestBackoffMs: 60_000 } };
    expect(afterAttempt(CLAIM, BUSY, rules, MOMENT).nextAttemptAt).toBe(NOW + 2_000);
  });

  it.each([
    [undefined, 2_000],
    [0, 2_000],
    [1_999, 2_000],
    [2_001, 2_001],
    [MAX_RETRY_AFTER_MS, MAX_RETRY_AFTER_MS],
  ])('that asked us to wait %d ms, waits %d ms', (retryAfterMs, waitMs) => {
    const { nextAttemptAt } = afterAttempt(CLAIM, { ...BUSY, retryAfterMs }, RULES, MOMENT);
    expect(nextAttemptAt).toBe(NOW + waitMs);
  });

  it('writes down what happened, at which attempt, and why', () => {
    const eventAfter = (outcome: Outcome) => afterAttempt(CLAIM, outcome, RULES, MOMENT).event;
    expect([DELIVERED, STALE, BUSY, RESET, ABORTED].map(eventAfter)).toEqual([
      { what: 'delivered', attempt: 3, statusCode: 201, reason: 'request 7' },
      { what: 'stale', attempt: 3, statusCode: 412, reason: 'it has version 9' },
      { what: 'transient', attempt: 3, statusCode: 503, reason: '503' },
      { what: 'unknown', attempt: 3, reason: 'reset' },
      { what: 'aborted', attempt: 3, reason: 'too late' },
    ]);
  });
});

/** What a look-up found; nothing when it has no id. */
function found(targetId: string | undefined): Finding | undefined {
  return targetId === undefined ? undefined : { kind: 'applied', targetId };
}

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
  ])('%s', (_, claim, targetId, reads, expected) => {
    const transition = afterLookUp({ ...CLAIM, ...claim }, found(targetId), RULES, MOMENT);
    expect(short(transition)).toEqual(expected);
    expect(transition).toMatchObject({ reads });
    expect(transition.targetId).toBe(targetId);
    expect(transition.event).toMatchObject(
      targetId === undefined ? { what: 'not_found' } : { what: 'found', reason: targetId },
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
  ])('one look-up decides: %s', (_, claim, targetId, expected) => {
    const moment = { ...MOMENT, doubt: 'too short' };
    const transition = afterLookUp({ ...CLAIM, ...claim }, found(targetId), RULES, moment);
    expect(short(transition)).toEqual(expected);
    expect(afterAttempt(CLAIM, EXISTING, RULES, MOMENT)).toMatchObject(existing);
  });

  it.each<[string, Partial<Claim>, string | undefined, unknown[]]>([
    ['first no', {}, undefined, ['unknown', 3, 2_000, 'reset']],
    ['third no', { reads: 2 }, undefined, ['held', 3, null, 'too short']],
    ['third no of the last', { ...LAST, reads: 2 }, undefined, ['held', 5, null, 'too short']],
    ['it has it', { reads: 2 }, 'request 7', ['delivered', 3, null, null]],
  ])('a list that lacks what was delivered sends nothing: %s', (_, claim, targetId, expected) => {
    const moment = { ...MOMENT, doubt: 'too short' };
    const transition = afterLookUp({ ...CLAIM, ...claim }, found(targetId), RULES, moment);
    expect(short(transition)).toEqual(expected);
    if (transition.status !== 'held') return;
    expect(transition.event).toEqual({
      what: 'held',
      attempt: transition.attempts,
      reason: 'too short',
    });
  });

  it.each<[string, Partial<Claim>]>([
    ['at the first look-up', {}],
    ['at the last look-up', { reads: 2 }],
    ['after the last attempt', { ...LAST, reads: 2 }],
    ['about what it refused as existing', { reads: READS_OF_EXISTING }],
    ['about what was released', { reads: READS_OF_RELEASED }],
  ])('it has a later state, seen %s: the delivery is dead', (_, given) => {
    const claim = { ...CLAIM, ...given };
    const overtaken: Finding = { kind: 'overtaken', reason: 'it has version 9' };
    for (const doubt of [undefined, 'too short']) {
      const transition = afterLookUp(claim, overtaken, RULES, { ...MOMENT, doubt });
      expect(short(transition)).toEqual(['dead', claim.attempts, null, 'it has version 9']);
      expect(transition).toMatchObject({ reads: 0, event: { what: 'stale' } });
      expect(transition.event).toMatchObject({ attempt: claim.attempts, reason: overtaken.reason });
      expect(transition.targetId).toBeUndefined();
    }
  });

  it.each<[string, Partial<Claim>, string | undefined, string | undefined, unknown[]]>([
    ['it has it', {}, 'request 7', undefined, ['delivered', 3, null, null]],
    ['no', {}, undefined, undefined, ['pending', 3, 2_000, 'reset']],
    ['no, of the last', LAST, undefined, undefined, ['dead', 5, null, 'reset']],
    ['no, from too short a list', {}, undefined, 'too short', ['held', 3, null, 'too short']],
  ])('the first look-up is final if no wait for another is set: %s', (_, ...given) => {
    const [claim, targetId, doubt, expected] = given;
    const rules = { ...RULES, target: { ...ASKED, lookUpAfterMs: [0] } };
    expect(short(afterAttempt(CLAIM, RESET, rules, MOMENT))).toEqual(['unknown', 3, 0, 'reset']);
    const moment = { ...MOMENT, doubt };
    const transition = afterLookUp({ ...CLAIM, ...claim }, found(targetId), rules, moment);
    expect(short(transition)).toEqual(expected);
    expect(transition.reads).toBe(0);
  });

  it('what it does not have waits no longer than the longest backoff', () => {
    const rules = { ...RULES, policy: { ...POLICY, longestBackoffMs: 400 } };
    const transition = afterLookUp({ ...CLAIM, reads: 2 }, undefined, rules, MOMENT);
    expect(short(transition)).toEqual(['pending', 3, 200, 'reset']);
  });
});

it.each<[number[], number, boolean]>([
  [[500, 2_000, 8_000], 0, false],
  [[500, 2_000, 8_000], 1, false],
  [[500, 2_000, 8_000], 2, true],
  [[0], 0, true],
  [[500, 2_000, 8_000], READS_OF_EXISTING, true],
  [[500, 2_000, 8_000], READS_OF_RELEASED, true],
  // The waits are fewer than they were when the delivery was looked up.
  [[0], 2, true],
])('of look-ups after %j, the one after %d that found nothing is the last: %s', (...given) => {
  const [lookUpAfterMs, reads, isLast] = given;
  const target = { ...ASKED, lookUpAfterMs };
  const claim = { ...CLAIM, reads };
  expect(isLastLookUp(target, claim)).toBe(isLast);
  const { status } = afterLookUp(claim, undefined, { ...RULES, target }, MOMENT);
  expect(status !== 'unknown').toBe(isLast);
});

const retryAfterMs = fc.option(fc.nat({ max: MAX_RETRY_AFTER_MS }), { nil: undefined });
const outcome = fc.oneof(
  fc.constantFrom(DELIVERED, STALE, DENIED, RESET, EXISTING, INVALID, ABORTED),
  fc
    .tuple(fc.constantFrom(BUSY, REFUSED_CONNECTION, RESET), retryAfterMs)
    .map(([base, wait]) => ({ ...base, retryAfterMs: wait }) as Outcome),
);
const attempted = fc.record({ outcome, isProbe: fc.boolean() });
const lookedUp = fc.record({
  finding: fc.oneof(
    fc.constant(undefined),
    fc.string().map((targetId): Finding => ({ kind: 'applied', targetId })),
    fc.string().map((reason): Finding => ({ kind: 'overtaken', reason })),
  ),
  doubt: fc.constantFrom(undefined, 'too short'),
});

it('whatever happens, a delivery is due within the hour or at its end, with attempts left', () => {
  const luck = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const arbitrary = [
    fc.integer({ min: 1, max: 50 }),
    fc.nat(),
    fc.integer({ min: READS_OF_RELEASED, max: ASKED.lookUpAfterMs.length }),
    luck,
    fc.constantFrom(ASKED, REPEATABLE, MUTE),
    fc.constantFrom(undefined, 0, 1_000),
  ] as const;
  fc.assert(
    fc.property(...arbitrary, fc.oneof(attempted, lookedUp), (...given) => {
      const [max, nth, reads, value, target, longestBackoffMs, happened] = given;
      const claim = { ...CLAIM, attempts: 1 + (nth % max), reads };
      const rules = { target, policy: { ...POLICY, maxAttempts: max, longestBackoffMs } };
      const moment = { now: NOW, random: () => value };
      const { status, attempts, nextAttemptAt } =
        'outcome' in happened
          ? afterAttempt(claim, happened.outcome, rules, { ...moment, isProbe: happened.isProbe })
          : afterLookUp(claim, happened.finding, rules, { ...moment, doubt: happened.doubt });
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
