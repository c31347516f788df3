import { type Comparison, compare } from '../audit/compare.ts';
import type { Claim, Transition } from '../delivery.ts';
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
    const isLast = claims.some((claim) => isLastLookUp(target, claim));
    if (target.lookUp && !(isLast && canCompare(flow))) {
      return { findings: await target.lookUp(claims, signal), shortfall: undefined };
    }
    // What the target refused as existing is never sent again, whatever its list says.
    const decides = claims.some((claim) => isLastLookUp(target, claim) && claim.reads >= 0);
    return compare({
      ...{ flow: flow.name, target, expected: claims, signal },
      checkedBy: decides ? ledger : undefined,
    });
  }

  async function settle(claims: Claim[], permit: Permit): Promise<void> {
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
      onSettled(
        claims.map((claim) => {
          const finding = findings.get(claim.key);
          const verdict = finding === undefined ? 'not_found' : 'found';
          return { claim, verdict, transition: afterLookUp(claim, finding, flow, moment) };
        }),
      );
    } catch (error) {
      // The ledger logs its own errors.
      if (error instanceof LedgerError) return leaveUnknown(claims, undefined, RETRY_MS);
      if (!(error instanceof ReadError)) throw error;
      const { message } = error;
      const some = nameSome(claims.map(({ key }) => key));
      const what = claims.length === 1 ? 'an attempt' : `${claims.length} attempts`;
      log.error(`Could not ask the ${target.name} what became of ${what} (${some}): ${message}`);
      leaveUnknown(claims, message, waitMs);
    } finally {
      isSettling = false;
    }
  }

  function leaveUnknown(claims: Claim[], reason: string | undefined, waitMs: number): void {
    onSettled(
      claims.map((claim) => {
        const isTold = reason === undefined || told.get(claim.key) === reason;
        if (reason !== undefined) told.set(claim.key, reason);
        const transition = stillUnknown(claim, now() + waitMs, isTold ? undefined : reason);
        return { claim, verdict: 'unreadable', transition };
      }),
    );
  }

  /**
   * Without a question: what was released is sent, and an attempt whose worker is gone is like one without an
   * answer.
   */
  function decideAlone(claims: Claim[]): void {
    const moment = { now: now(), random };
    onSettled(
      claims.map((claim) => {
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
      }),
    );
  }

  const claim = () =>
    leases.take(() => ledger.claimUnknown(flow.name, { limit: ROUND, now: now() }));

  return {
    /** Begins a round, if none is under way, one is due, and the target may be called. */
    async begin(): Promise<void> {
      if (isSettling) return;
      if (target.isRepeatable || !canLookUp(flow)) {
        const claims = await claim();
        if (claims.length > 0) decideAlone(claims);
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
      void settle(claims, permit);
    },
  };
}

function stillUnknown(claim: Claim, nextAttemptAt: number, reason: string | undefined): Transition {
  const { attempts, reads, lastError } = claim;
  const event = reason === undefined ? undefined : { what: 'not_read', attempt: attempts, reason };
  return { status: 'unknown', attempts, reads, nextAttemptAt, lastError, event };
}
