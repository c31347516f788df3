/**
 * The words of this folder.
 *
 * A *flow* carries records from its *sources* to its *target*. An *item* is what a source shows; to *ingest*
 * it is to write it into the *ledger*, where it becomes a *delivery*: one thing that must reach the target
 * once, named by its flow and its *key*. An *attempt* is one call to the target. The deliveries of one record
 * (one customer) are a *lane*. A worker holds a delivery by a *claim*, for as long as its *lease* lasts, and
 * writes its result with the *fencing token* of the claim: if the lease was lost, the result is not written.
 */

/**
 * The status of a delivery:
 * - `pending`: to be sent at `next_attempt_at`
 * - `sending`: claimed by a worker, until its lease runs out
 * - `unknown`: an attempt may or may not have taken effect; the target is asked at `next_attempt_at`
 * - `delivered`: the target has it
 * - `dead`: not tried again until it is replayed
 * - `held`: kept back until it is released: by the surge guard, or because nobody can say whether the target
 *   has it
 * - `superseded`: never to be sent, because a later state of its record replaced it or the record is gone
 */
export const STATUSES = [
  'pending',
  'sending',
  'unknown',
  'delivered',
  'dead',
  'held',
  'superseded',
] as const;
export type Status = (typeof STATUSES)[number];

/** What became of the record: it is new, changed, or gone. */
export type Operation = 'create' | 'update' | 'delete';

/** What a source shows: the wish for one effect at the target. Its key and its lane have no `nameFlaw`. */
export interface Item {
  /** Names the effect: unique in its flow, for ever. The idempotency key is made of it. */
  key: string;
  /** The record that it is about: the same id in every flow, so that one customer is one timeline. */
  lane: string;
  /** What is sent, as JSON text. It never changes: a repeated request must be the same request. */
  payload: string;
  /** Default: the flow makes no difference. */
  operation?: Operation | undefined;
  /** What people call the record: a name. It is logged, and stored if the flow keeps labels. Default: none. */
  label?: string | undefined;
  /**
   * The record is gone: what its lane still has to deliver is superseded in every flow, and so is what comes
   * later, except deletes. Only a delete can say so, whose key is not the lane; no guard holds it. Default: no.
   */
  endsLane?: boolean | undefined;
}

/** Longer than the ids of any real system, and short enough for an index of PostgreSQL. */
export const MAX_NAME_BYTES = 1_024;

/** Why a text cannot be a key or a lane, to follow the word for it; `undefined` when it can. */
export function nameFlaw(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (!name.isWellFormed() || name.includes('\0')) return 'has characters that cannot be stored';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`;
  return undefined;
}

/** A delivery that a worker holds, until its lease runs out. */
export interface Claim extends Pick<Item, 'key' | 'lane' | 'payload' | 'operation'> {
  flow: string;
  /** The ledger's own number of the delivery, in the order in which deliveries were ingested. */
  sequence: number;
  /** Attempts so far; while `sending`, the one under way is counted. */
  attempts: number;
  /**
   * Look-ups about the last attempt that did not find it, or a `READS_OF_…` of `transition.ts`.
   */
  reads: number;
  fencingToken: number;
  lastError: string | null;
  /** Unix time in milliseconds. */
  createdAt: number;
}

/** What becomes of a claimed delivery, and why. */
export interface Transition {
  /** If the delivery has a successor, the ledger turns `pending`, `dead` and `held` into `superseded`. */
  status: Exclude<Status, 'sending' | 'superseded'>;
  attempts: number;
  reads: number;
  /** Unix time in milliseconds; `null` when nothing is scheduled. */
  nextAttemptAt: number | null;
  lastError: string | null;
  /** The target's own id of what was delivered. Default: the ledger keeps what it has. */
  targetId?: string | undefined;
  /** Its line in the history; `undefined` when that would say nothing new. */
  event?: Event | undefined;
}

/** One line of a delivery's history. */
export interface Event {
  /** What happened: an attempt by its outcome, a look-up by what it found, or what a person did. */
  what: string;
  /** The number of the attempt, from 1. */
  attempt?: number | undefined;
  /** The status of the target's answer, when there was one. */
  statusCode?: number | undefined;
  /** In words for people: why, or the target's id of what was delivered. */
  reason?: string | undefined;
}
