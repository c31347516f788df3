import type { Logger } from 'service-kit/logger';
import type { Claim, Transition } from './delivery.ts';
import { type Gate, type Permit, READ } from './gate.ts';
import type { Leases } from './leases.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { VERDICTS } from './metrics.ts';
import { ReadError, type Target } from './target.ts';
import { afterRead, SETTLE_DELAYS_MS } from './transition.ts';

/** How many unknown deliveries one read of the target settles. */
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
  /** Ends a read before its time. */
  signal: AbortSignal;
  /** Called with what became of a round. */
  onSettled: (results: Settled[]) => void;
}

/** Finds out what became of attempts of unknown outcome, a round at a time, beside what is sent. */
export function createSettler(options: SettlerOptions) {
  const { leg, target, ledger, gate, leases, maxAttempts, log } = options;
  const { now, random, signal, onSettled } = options;
  /** What kept each from being settled, as its history tells it: that must not grow with every read. */
  const told = new Map<string, string>();
  let isSettling = false;

  async function settle(claims: Claim[], permit: Permit): Promise<void> {
    try {
      // Before a delivery is sent again, the whole list must say that the target does not have it.
      const mayFilter = claims.every(({ reads }) => reads < SETTLE_DELAYS_MS.length - 1);
      const findings = await readThrough(permit, () =>
        findAtTarget(target, claims, { mayFilter, signal }),
      );
      // That it can be read does not mean that it takes what is sent; that it has some of it, does.
      if (findings.size > 0) permit.succeed(READ);
      else permit.cancel();
      const policy = { maxAttempts, now: now(), random };
      told.clear();
      onSettled(
        claims.map((claim) => {
          const evidence = findings.get(claim.key);
          const verdict = evidence === undefined ? 'not_found' : 'found';
          return { claim, verdict, transition: afterRead(claim, evidence, policy) };
        }),
      );
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      log.error(`Could not ask the ${target.name} what became of an attempt: ${error.message}`);
      const { message } = error;
      const waitMs = Math.max(RETRY_MS, error.isThrottled ? (error.retryAfterMs ?? 0) : 0);
      onSettled(
        claims.map((claim) => {
          const isTold = told.get(claim.key) === message;
          told.set(claim.key, message);
          const transition = stillUnknown(claim, now() + waitMs, isTold ? undefined : message);
          return { claim, verdict: 'unreadable', transition };
        }),
      );
    } finally {
      isSettling = false;
    }
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

/** What a target turned out to have: its ids by key. */
export type Findings = Map<string, string>;

/**
 * Asks a target, in one read, what it has of these deliveries.
 *
 * @param mayFilter whether a single one may be asked for alone, which is cheaper: what the target
 *   does not list then rests on a filter that it may understand otherwise
 * @throws {ReadError} when the target could not be read to the end; nothing is known then
 */
export async function findAtTarget(
  target: Target,
  claims: Claim[],
  { mayFilter, signal }: { mayFilter: boolean; signal?: AbortSignal },
): Promise<Findings> {
  const wanted = new Set(claims.map(({ key }) => key));
  const only = mayFilter && claims.length === 1 ? claims[0] : undefined;
  const findings: Findings = new Map();
  for await (const { key, evidence } of target.read({ only, signal })) {
    if (wanted.has(key) && !findings.has(key)) findings.set(key, evidence);
  }
  return findings;
}

/** Runs a read of the target, and tells the gate when it fails. What a success means, the caller knows. */
export async function readThrough<Result>(
  permit: Permit,
  read: () => Promise<Result>,
): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ReadError)) permit.cancel();
    else if (error.isUnauthorized) permit.refuse(error.message);
    else if (error.isThrottled) permit.throttle(READ, error.message, error.retryAfterMs);
    else permit.fail(error.message, error.retryAfterMs);
    throw error;
  }
}
