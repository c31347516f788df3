import { backoffMs } from 'service-kit/retry';
import type { Claim, Transition } from './delivery.ts';
import type { Outcome } from './outcome.ts';

/**
 * The wait before each read that asks the target about an attempt of unknown outcome, counted from the read
 * before. There are three, because the target may still be at work and commit late.
 */
export const SETTLE_DELAYS_MS = [500, 2_000, 8_000];

/** The last of these reads: a delivery that it does not find is sent again. */
export const LAST_READ = SETTLE_DELAYS_MS.length - 1;
/** `reads` of a delivery that was held and released: it is sent unless one more read finds it. */
export const READS_OF_RELEASED = SETTLE_DELAYS_MS.length;
/** `reads` of a delivery that the target refused as existing: it is dead unless one read finds it. */
export const READS_OF_EXISTING = -1;

export interface Policy {
  /** Attempts of one delivery before it is dead. */
  maxAttempts: number;
  /** Unix time in milliseconds. */
  now: number;
  /** From 0 to below 1. */
  random: () => number;
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
  { maxAttempts, now, random, isProbe = false }: Policy & { isProbe?: boolean },
): Transition {
  const { attempts } = claim;
  const event = {
    what: outcome.kind,
    attempt: attempts,
    ...('statusCode' in outcome && { statusCode: outcome.statusCode }),
    reason: outcome.kind === 'delivered' ? outcome.evidence : outcome.reason,
  };
  const pending = (used: number, waitMs: number): Transition => ({
    status: 'pending',
    attempts: used,
    reads: 0,
    nextAttemptAt: now + waitMs,
    lastError: event.reason,
    event,
  });
  const atItsEnd = (status: 'delivered' | 'dead'): Transition => ({
    status,
    attempts,
    reads: 0,
    nextAttemptAt: null,
    lastError: status === 'dead' ? event.reason : null,
    event,
  });

  switch (outcome.kind) {
    case 'delivered':
      return atItsEnd('delivered');
    case 'permanent':
      return atItsEnd('dead');
    case 'aborted':
    case 'unauthorized':
      return pending(attempts - 1, 0);
    case 'throttled':
      return pending(attempts - 1, outcome.retryAfterMs ?? 0);
    case 'unknown':
      return {
        ...pending(attempts, Math.max(SETTLE_DELAYS_MS[0] as number, outcome.retryAfterMs ?? 0)),
        status: 'unknown',
        ...(outcome.saysItExists && { reads: READS_OF_EXISTING }),
      };
    case 'transient': {
      const waitMs = Math.max(backoffMs(attempts, random), outcome.retryAfterMs ?? 0);
      if (isProbe) return pending(attempts - 1, waitMs);
      return attempts >= maxAttempts ? atItsEnd('dead') : pending(attempts, waitMs);
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
 * @param evidence the target's id of the delivery; `undefined` when the target does not have it
 * @param doubt why the target may have it all the same: it is then held until a person releases it
 */
export function afterRead(
  claim: Claim,
  evidence: string | undefined,
  { maxAttempts, now, random, doubt }: Policy & { doubt?: string | undefined },
): Transition {
  const { attempts, lastError } = claim;
  if (evidence !== undefined) {
    const event = { what: 'found', attempt: attempts, reason: evidence };
    return { status: 'delivered', attempts, reads: 0, nextAttemptAt: null, lastError: null, event };
  }
  const event = { what: 'not_found', attempt: attempts, reason: 'the target does not have it' };
  const dead = {
    status: 'dead',
    attempts,
    reads: 0,
    nextAttemptAt: null,
    lastError,
    event,
  } as const;
  if (claim.reads === READS_OF_EXISTING) return dead;
  if (claim.reads === READS_OF_RELEASED) {
    // As after a release of what the surge guard holds: no attempt is used up.
    return { status: 'pending', attempts: 0, reads: 0, nextAttemptAt: now, lastError, event };
  }
  const reads = claim.reads + 1;
  const delayMs = SETTLE_DELAYS_MS[reads];
  if (delayMs !== undefined) {
    return { status: 'unknown', attempts, reads, nextAttemptAt: now + delayMs, lastError, event };
  }
  if (doubt !== undefined) {
    const held = { what: 'held', attempt: attempts, reason: doubt };
    return { ...dead, status: 'held', lastError: doubt, event: held };
  }
  if (attempts >= maxAttempts) return dead;
  const nextAttemptAt = now + backoffMs(attempts, random);
  return { status: 'pending', attempts, reads: 0, nextAttemptAt, lastError, event };
}
