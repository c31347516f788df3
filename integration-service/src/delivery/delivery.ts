/**
 * The words of this folder.
 *
 * A *delivery* is one thing that must reach a target once: a row of the *ledger*, named by its *leg* (which
 * journey) and its *key*. A *sighting* is a source showing it. An *attempt* is one call to the target. The
 * deliveries of one customer are a *lane*: they are sent in order, lanes in parallel. A worker holds a
 * claimed delivery by a *lease* and writes its result with the *fencing token* of its claim: if the lease
 * was lost, the result is not written.
 */

/**
 * The status of a delivery:
 * - `pending`: to be sent at `next_attempt_at`
 * - `sending`: claimed by a worker, until its lease runs out
 * - `unknown`: an attempt may or may not have taken effect; the target is asked at `next_attempt_at`
 * - `delivered`: the target has it
 * - `dead`: not tried again until it is replayed
 * - `held`: kept back until it is released: by the surge guard, or because the target's list lacks what was
 *   delivered, and so cannot show whether the target has it
 */
export const STATUSES = ['pending', 'sending', 'unknown', 'delivered', 'dead', 'held'] as const;
export type Status = (typeof STATUSES)[number];

/** What a source has shown. */
export interface Sighting {
  key: string;
  /** The customer, and so the lane. */
  customerId: string;
  /** What is sent. It never changes: a repeated request must be the same request. */
  payload: unknown;
}

/** Something that a target holds, with the id that it has there. */
export interface Evidence extends Sighting {
  evidence: string;
}

/** A delivery that a worker holds, until its lease runs out. */
export interface Claim extends Sighting {
  /** The ledger's own number of the delivery, in order of first sighting. */
  sequence: number;
  leg: string;
  /** Attempts so far; while `sending`, the one under way is counted. */
  attempts: number;
  /**
   * Times the target was asked about the last attempt and did not have it, or a `READS_OF_…` of
   * `transition.ts`.
   */
  reads: number;
  fencingToken: number;
  lastError: string | null;
  /** Unix time in milliseconds. */
  createdAt: number;
}

/** What becomes of a claimed delivery, and why. */
export interface Transition {
  status: Exclude<Status, 'sending'>;
  attempts: number;
  reads: number;
  /** Unix time in milliseconds; `null` when nothing is scheduled. */
  nextAttemptAt: number | null;
  lastError: string | null;
  /** Its line in the history; `undefined` when that would say nothing new. */
  event?: Event | undefined;
}

/** One line of a delivery's history. */
export interface Event {
  /** What happened: an attempt by its outcome, a read of the target by its verdict, or what a person did. */
  what: string;
  /** The number of the attempt, from 1. */
  attempt?: number | undefined;
  /** The status of the target's answer, when there was one. */
  statusCode?: number | undefined;
  /** In words for people: why, or the target's id of what was delivered. */
  reason?: string | undefined;
}
