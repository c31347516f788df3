import type { Logger } from 'service-kit/logger';
import { createDeliveredCheck } from '../audit/delivered-check.ts';
import type { Claim, Transition } from '../delivery.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import { nameSome } from '../name-some.ts';
import { ReadError, type Target } from '../target.ts';
import { afterRead, LAST_READ } from '../transition.ts';
import { type Gate, type Permit, READ } from './gate.ts';
import type { Leases } from './leases.ts';
import type { VERDICTS } from './metrics.ts';

/** The most unknown deliveries that one read of the target settles. */
const ROUND = 10_000;
const RETRY_MS = 1_000;

type Verdict = (typeof VERDICTS)[number];

/** What one read of the target said about a delivery, and what becomes of it. */
export interface Settled {
  claim: Claim;
  verdict: Verdict;
  transition: Transition;
}

export interface SettlerOptions {
  leg: string;
  target: Target;
  ledger: Ledger;
  gate: Gate;
  leases: Leases;
  maxAttempts: number;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
  random: () => number;
  /** Aborts a read. */
  signal: AbortSignal;
  /** Called with the results of a round. */
  onSettled: (results: Settled[]) => void;
}

/** Finds out what became of attempts of unknown outcome, one round at a time, during sending. */
export function createSettler(options: SettlerOptions) {
  const { leg, target, ledger, gate, leases, maxAttempts, log } = options;
  const { now, random, signal, onSettled } = options;
  /** Why each delivery could not be settled, as its history says: a reason is not repeated at every read. */
  const told = new Map<string, string>();
  let isSettling = false;

  async function settle(claims: Claim[], permit: Permit): Promise<void> {
    let waitMs = RETRY_MS;
    try {
      // A delivery is sent again only if the target's complete list does not have it.
      const mayFilter = claims.every(({ reads }) => reads >= 0 && reads < LAST_READ);
      const checkedBy = claims.some(({ reads }) => reads === LAST_READ) ? ledger : undefined;
      const { findings, shortfall } = await readThrough(
        permit,
        () => findAtTarget({ leg, target, claims, mayFilter, checkedBy, signal }),
        (throttledMs) => {
          waitMs = Math.max(RETRY_MS, throttledMs);
        },
      );
      // A successful read does not show that the target accepts deliveries; having one does.
      if (findings.size > 0) permit.succeed(READ);
      else permit.cancel();
      const doubt = shortfall && `the ${target.name} ${shortfall}`;
      const policy = { maxAttempts, now: now(), random, doubt };
      told.clear();
      onSettled(
        claims.map((claim) => {
          const evidence = findings.get(claim.key);
          const verdict = evidence === undefined ? 'not_found' : 'found';
          return { claim, verdict, transition: afterRead(claim, evidence, policy) };
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

  return {
    /** Begins a round, if none is under way, one is due, and the target may be called. */
    async begin(): Promise<void> {
      if (isSettling) return;
      const permit = gate.pass();
      if (!permit) return;
      const lease = leases.lease();
      const claims = await ledger
        .claimUnknown(leg, { limit: ROUND, now: now() })
        .catch((error: unknown) => {
          permit.cancel();
          throw error;
        });
      if (claims.length === 0) return permit.cancel();
      for (const claim of claims) leases.hold(claim, lease);
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

/** Which of the deliveries a target has. */
export interface Findings {
  /** The target's ids, by key. */
  findings: Map<string, string>;
  /** Why the target may have more (its list lacks what was delivered), as a text that follows its name. */
  shortfall: string | undefined;
}

/**
 * Asks a target, in one read, which of these deliveries it has.
 *
 * @throws {ReadError} when the target could not be read to the end; nothing is known then
 * @throws {LedgerError} when the list could not be checked against the ledger
 */
export async function findAtTarget(options: {
  leg: string;
  target: Target;
  claims: Claim[];
  /**
   * Whether the target may be asked for a single delivery alone. That is cheaper, but depends on a filter:
   * a target that understands the filter differently may not list a delivery that it has.
   */
  mayFilter: boolean;
  /** Shows whether the list is complete; needed if a delivery is sent because it is not listed. */
  checkedBy: Ledger | undefined;
  signal?: AbortSignal;
}): Promise<Findings> {
  const { leg, target, claims, mayFilter, checkedBy, signal } = options;
  const check = checkedBy && (await createDeliveredCheck(checkedBy, leg));
  const wanted = new Set(claims.map(({ key }) => key));
  const only = mayFilter && claims.length === 1 ? claims[0] : undefined;
  const findings = new Map<string, string>();
  for await (const { key, evidence } of target.read({ only, signal })) {
    if (wanted.has(key) && !findings.has(key)) findings.set(key, evidence);
    const checking = check?.see(key);
    if (checking) await checking;
  }
  return { findings, shortfall: await check?.shortfall() };
}

/**
 * Runs a read of the target, and reports a failure to the gate. The caller reports a success.
 *
 * @param onThrottled called when the target asks for fewer calls, with how long the read must wait, in
 *   milliseconds
 */
export async function readThrough<Result>(
  permit: Permit,
  read: () => Promise<Result>,
  onThrottled?: (waitMs: number) => void,
): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ReadError)) permit.cancel();
    else if (error.isUnauthorized) permit.refuse(error.message);
    else if (error.isThrottled) {
      onThrottled?.(permit.throttle(READ, error.message, error.retryAfterMs).waitMs);
    } else permit.fail(error.message, error.retryAfterMs);
    throw error;
  }
}
