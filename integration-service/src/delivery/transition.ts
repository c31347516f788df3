import { backoffMs } from 'service-kit/retry';
import type { Claim, Transition } from './delivery.ts';
import type { Policy } from './flow.ts';
import type { Outcome } from './outcome.ts';
import type { Finding, Target } from './target.ts';

/** `reads` of a delivery that the target refused as existing: it is dead unless one look-up finds it. */
export const READS_OF_EXISTING = -1;
/** `reads` of a delivery that was held and released: it is sent unless one more look-up finds it. */
export const READS_OF_RELEASED = -2;

/** What the rules must know of a flow. */
export interface Rules {
  target: Pick<Target, 'name' | 'isRepeatable' | 'lookUpAfterMs' | 'lookUp' | 'list'>;
  policy: Pick<Policy, 'supersedes' | 'maxAttempts' | 'longestBackoffMs'>;
}

export interface Moment {
  /** Unix time in milliseconds. */
  now: number;
  /** From 0 to below 1. */
  random: () => number;
}

/**
 * Whether the target's list shows what became of an attempt of unknown outcome. Where only the latest state
 * of a record matters, that the record is listed does not say which state the target holds.
 */
export function canCompare({ target, policy }: Rules): boolean {
  return target.list !== undefined && !policy.supersedes;
}

/** Whether anybody can find out what became of an attempt of unknown outcome. */
export function canLookUp(rules: Rules): boolean {
  return rules.target.lookUp !== undefined || canCompare(rules);
}

/** Whether a look-up is the last one: what it does not find had no effect. */
export function isLastLookUp({ lookUpAfterMs }: Rules['target'], { reads }: Claim): boolean {
  return reads < 0 || reads >= lookUpAfterMs.length - 1;
}

/**
 * What becomes of a delivery after an attempt.
 *
 * @param isProbe the breaker was not closed: a transient failure is then due to the target and costs the
 *   delivery no attempt, so that no outage, however long, makes it dead
 */
export function afterAttempt(
  claim: Claim,
  outcome: Outcome,
  rules: Rules,
  { now, random, isProbe = false }: Moment & { isProbe?: boolean },
): Transition {
  const { attempts } = claim;
  const { target } = rules;
  const { maxAttempts, longestBackoffMs } = rules.policy;
  const event = {
    what: outcome.kind,
    attempt: attempts,
    ...('statusCode' in outcome && { statusCode: outcome.statusCode }),
    reason: outcome.kind === 'delivered' ? outcome.targetId : outcome.reason,
  };
  const waiting = (status: 'pending' | 'unknown', used: number, waitMs: number): Transition => ({
    status,
    attempts: used,
    reads: 0,
    nextAttemptAt: now + waitMs,
    lastError: event.reason,
    event,
  });
  const atItsEnd = (status: 'delivered' | 'dead' | 'held'): Transition => ({
    status,
    attempts,
    reads: 0,
    nextAttemptAt: null,
    lastError: status === 'delivered' ? null : event.reason,
    ...(outcome.kind === 'delivered' && { targetId: outcome.targetId }),
    event,
  });
  const again = (retryAfterMs = 0): Transition => {
    const waitMs = Math.max(backoffMs(attempts, random, longestBackoffMs), retryAfterMs);
    if (isProbe) return waiting('pending', attempts - 1, waitMs);
    return attempts >= maxAttempts ? atItsEnd('dead') : waiting('pending', attempts, waitMs);
  };

  switch (outcome.kind) {
    case 'delivered':
      return atItsEnd('delivered');
    case 'permanent':
    case 'stale':
      return atItsEnd('dead');
    case 'aborted':
    case 'unauthorized':
      return waiting('pending', attempts - 1, 0);
    case 'throttled':
      return waiting('pending', attempts - 1, outcome.retryAfterMs ?? 0);
    case 'transient':
      return again(outcome.retryAfterMs);
    case 'unknown': {
      if (target.isRepeatable) return again(outcome.retryAfterMs);
      if (!canLookUp(rules)) {
        const lastError = `${outcome.reason}; the ${target.name} cannot be asked about it`;
        return { ...atItsEnd('held'), lastError };
      }
      const waitMs = Math.max(target.lookUpAfterMs[0] ?? 0, outcome.retryAfterMs ?? 0);
      return {
        ...waiting('unknown', attempts, waitMs),
        ...(outcome.saysItExists && { reads: READS_OF_EXISTING }),
      };
    }
  }
}

/** What becomes of a delivery that was claimed and not sent: it is pending, as before. */
export function unclaimed({ attempts, lastError }: Claim, now: number): Transition {
  return { status: 'pending', attempts: attempts - 1, reads: 0, nextAttemptAt: now, lastError };
}

/**
 * What becomes of an unknown delivery after the target was asked: delivered, asked once more, sent again,
 * dead, or held.
 *
 * @param finding what the target said; `undefined` when it does not have the delivery
 * @param doubt why the target may have it all the same: it is then held until a person releases it
 */
export function afterLookUp(
  claim: Claim,
  finding: Finding | undefined,
  { target, policy: { maxAttempts, longestBackoffMs } }: Rules,
  { now, random, doubt }: Moment & { doubt?: string | undefined },
): Transition {
  const { attempts, lastError } = claim;
  const atItsEnd = { attempts, reads: 0, nextAttemptAt: null };
  if (finding?.kind === 'applied') {
    const { targetId } = finding;
    const event = { what: 'found', attempt: attempts, reason: targetId };
    return { ...atItsEnd, status: 'delivered', lastError: null, targetId, event };
  }
  if (finding?.kind === 'overtaken') {
    const { reason } = finding;
    const event = { what: 'stale', attempt: attempts, reason };
    return { ...atItsEnd, status: 'dead', lastError: reason, event };
  }
  const event = { what: 'not_found', attempt: attempts, reason: 'the target does not have it' };
  if (claim.reads === READS_OF_EXISTING) return { ...atItsEnd, status: 'dead', lastError, event };
  if (claim.reads === READS_OF_RELEASED) {
    // As after a release of what the surge guard holds: no attempt is used up.
    return { status: 'pending', attempts: 0, reads: 0, nextAttemptAt: now, lastError, event };
  }
  const reads = claim.reads + 1;
  const delayMs = target.lookUpAfterMs[reads];
  if (delayMs !== undefined) {
    return { status: 'unknown', attempts, reads, nextAttemptAt: now + delayMs, lastError, event };
  }
  if (doubt !== undefined) {
    const held = { what: 'held', attempt: attempts, reason: doubt };
    return { ...atItsEnd, status: 'held', lastError: doubt, event: held };
  }
  if (attempts >= maxAttempts) return { ...atItsEnd, status: 'dead', lastError, event };
  const nextAttemptAt = now + backoffMs(attempts, random, longestBackoffMs);
  return { status: 'pending', attempts, reads: 0, nextAttemptAt, lastError, event };
}
