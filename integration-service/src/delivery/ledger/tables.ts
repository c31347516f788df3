import type { Transaction } from 'kysely';
import type { Operation, Status } from '../delivery.ts';

/** The open transaction of the ledger's database. */
export type LedgerTransaction = Transaction<unknown>;

/** A delivery as the ledger stores it. Every time is Unix time in milliseconds. */
export interface DeliveryRow {
  /** In the order in which deliveries were ingested. */
  sequence: number;
  flow: string;
  key: string;
  lane: string;
  operation: Operation | null;
  label: string | null;
  /** JSON; null once its lane is scrubbed. */
  payload: string | null;
  status: Status;
  attempts: number;
  /** Look-ups about the last attempt, or a `READS_OF_…` of `transition.ts`. */
  reads: number;
  /** Set while `pending` (when to send) and `unknown` (when to ask the target), else null. */
  next_attempt_at: number | null;
  /** Increased whenever a claim is made or becomes void. */
  fencing_token: number;
  lease_expires_at: number | null;
  /** How the last attempt ended. */
  last_outcome: string | null;
  last_error: string | null;
  /** The target's own id of what was delivered. */
  target_id: string | null;
  /** The sequence number of the delivery that replaces this one. */
  superseded_by: number | null;
  traceparent: string | null;
  created_at: number;
  updated_at: number;
}

/** What happened to a delivery. */
export interface HistoryEvent {
  at: number;
  what: string;
  attempt: number | null;
  status_code: number | null;
  reason: string | null;
  next_attempt_at: number | null;
}
