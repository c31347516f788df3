import { type Comparison, compare } from '../audit/compare.ts';
import type { Claim } from '../delivery.ts';
import type { Result } from '../engine-event.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import { nameSome } from '../name-some.ts';
import { ReadError } from '../target.ts';
import {
  afterAttempt,
  afterLookUp,
  canCompare,
  canLookUp,
  isLastLookUp,
  READS_OF_RELEASED,
} from '../transition.ts';
import type { DispatcherOptions } from './dispatcher-options.ts';
import { type Permit, READ } from './gate.ts';
import type { Leases } from './leases.ts';
import { readThrough } from './read-through.ts';

/** The most unknown deliveries that one look-up settles. */
const ROUND = 10_000;
const RETRY_MS = 1_000;

export interface SettlerOptions extends DispatcherOptions {
  leases: Leases;
  /** Aborts a look-up. */
  signal: AbortSignal;
  /** Called with the results of a round. */
  onSettled: (results: Result[]) => void;
}

/**
 * Finds out what became of attempts of unknown outcome, one round at a time, during sending. How long after an
 * attempt each look-up comes, the target says: `lookUpAfterMs`.
 */
export function createSettler(options: SettlerOptions) {
  const { flow, ledger, gate, leases, log, now, random, signal, onSettled } = options;
  const { target } = flow;
  /** Why each delivery could not be settled, as its history says: a reason is not repeated at every read. */
  const told = new Map<string, string>();
  let isSettling = false;

  /** Only the whole list shows that something is not there; before the last look-up, less is enough. */
  async function lookUp(claims: Claim[]): Promise<Comparison> {
    const last = claims.filter((claim) => isLastLookUp(target, claim));
    if (target.lookUp && !(last.length > 0 && canCompare(flow))) {
      return { findings: await target.lookUp(claims, signal), shortfall: undefined };
    }
    // What the target refused as existing is never sent again, whatever its list says.
    const checkedBy = last.some(({ reads }) => reads >= 0) ? ledger : undefined;
    return compare({ flow: flow.name, target, expected: claims, checkedBy, signal });
  }

  async function settle(claims: Claim[], permit: Permit): Promise<Result[]> {
    let waitMs = RETRY_MS;
    try {
      const { findings, shortfall } = await readThrough(
        permit,
        () => lookUp(claims),
        (throttledMs) => {
          waitMs = Math.max(RETRY_MS, throttledMs);
        },
      );
      // A successful read does not show that the target accepts deliveries; having one does.
      if (findings.size > 0) permit.succeed(READ);
      else permit.cancel();
      const doubt = shortfall && `the ${target.name} ${shortfall}`;
      const moment = { now: now(), random, doubt };
      told.clear();
      return claims.map((claim) => {
        const finding = findings.get(claim.key);
        const verdict = finding === undefined ? 'not_found' : 'found';
        return { claim, verdict, transition: afterLookUp(claim, finding, flow, moment) };
      });
    } catch (error) {
      // The ledger logs its own errors.
      if (error instanceof LedgerError) return leaveUnknown(claims, undefined, RETRY_MS);
      if (!(error instanceof ReadError)) throw error;
      const { message } = error;
      const some = nameSome(claims.map(({ key }) => key));
      const what = claims.length === 1 ? 'an attempt' : `${claims.length} attempts`;
      log.error(`Could not ask the ${target.name} what became of ${what} (${some}): ${message}`);
      return leaveUnknown(claims, message, waitMs);
    }
  }

  function leaveUnknown(claims: Claim[], reason: string | undefined, waitMs: number): Result[] {
    const nextAttemptAt = now() + waitMs;
    return claims.map((claim) => {
      const { key, attempts, reads, lastError } = claim;
      const isNew = reason !== undefined && told.get(key) !== reason;
      if (isNew) told.set(key, reason);
      const event = isNew ? { what: 'not_read', attempt: attempts, reason } : undefined;
      const transition = { attempts, reads, nextAttemptAt, lastError, event };
      return { claim, verdict: 'unreadable', transition: { ...transition, status: 'unknown' } };
    });
  }

  /**
   * Without a question: what was released is sent, and an attempt whose worker is gone is like one without an
   * answer.
   */
  function decideAlone(claims: Claim[]): Result[] {
    const moment = { now: now(), random };
    return claims.map((claim) => {
      const reason = claim.lastError ?? 'no answer';
      const outcome = { kind: 'unknown', reason } as const;
      const { event: _, ...transition } =
        claim.reads === READS_OF_RELEASED
          ? afterLookUp(claim, undefined, flow, moment)
          : afterAttempt(claim, outcome, flow, moment);
      // That the attempt was lost is in the history; only an end is something new.
      const { status: what, lastError } = transition;
      const end = { what, attempt: claim.attempts, reason: lastError ?? undefined };
      return { claim, transition: { ...transition, ...(what !== 'pending' && { event: end }) } };
    });
  }

  const claim = () =>
    leases.take(() => ledger.claimUnknown(flow.name, { limit: ROUND, now: now() }));

  return {
    /** Begins a round, if none is under way, one is due, and the target may be called. */
    async begin(): Promise<void> {
      if (isSettling) return;
      if (target.isRepeatable || !canLookUp(flow)) {
        const claims = await claim();
        if (claims.length > 0) onSettled(decideAlone(claims));
        return;
      }
      const permit = gate.pass();
      if (!permit) return;
      const claims = await claim().catch((error: unknown) => {
        permit.cancel();
        throw error;
      });
      if (claims.length === 0) return permit.cancel();
      isSettling = true;
      const settled = settle(claims, permit).then(onSettled);
      void settled.finally(() => {
        isSettling = false;
      });
    },
  };
}
