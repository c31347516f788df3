import type { Generated, Selectable, Transaction } from 'kysely';
import type { Operation, Status } from '../delivery.ts';

/** The tables as Kysely sees them. Every time is Unix time in milliseconds. */
export interface Tables {
  deliveries: DeliveryTable;
  events: EventTable;
  flows: FlowTable;
  sources: SourceTable;
  rejected_records: RejectedRecordTable;
  audits: AuditTable;
  systems: SystemTable;
  ended_lanes: EndedLaneTable;
}

/** The open transaction of the ledger's database. A flow reaches its own tables by `withTables`. */
export type LedgerTransaction = Transaction<Tables>;

interface DeliveryTable {
  /** In the order in which deliveries were ingested. */
  sequence: Generated<number>;
  flow: string;
  key: string;
  lane: string;
  operation: Generated<Operation | null>;
  label: Generated<string | null>;
  /** JSON; null once its lane is scrubbed. */
  payload: string | null;
  status: Status;
  attempts: Generated<number>;
  /** Look-ups about the last attempt, or a `READS_OF_…` of `transition.ts`. */
  reads: Generated<number>;
  /** Set while `pending` (when to send) and `unknown` (when to ask the target), else null. */
  next_attempt_at: number | null;
  /** Increased whenever a claim is made or becomes void. */
  fencing_token: Generated<number>;
  lease_expires_at: Generated<number | null>;
  /** How the last attempt ended. */
  last_outcome: Generated<string | null>;
  last_error: Generated<string | null>;
  /** The target's own id of what was delivered. */
  target_id: Generated<string | null>;
  /** The sequence number of the delivery that replaces this one. */
  superseded_by: Generated<number | null>;
  traceparent: Generated<string | null>;
  created_at: number;
  updated_at: number;
}

interface EventTable {
  id: Generated<number>;
  /** `deliveries.sequence` */
  delivery: number;
  at: number;
  what: string;
  attempt: number | null;
  status_code: number | null;
  reason: string | null;
  next_attempt_at: number | null;
}

interface FlowTable {
  flow: string;
  /** Null until the target has been asked what it already holds. */
  adopted_at: number | null;
}

interface SourceTable {
  flow: string;
  source: string;
  /** Until this time, only the holder of the poll lease polls the source. */
  lease_ends_at: Generated<number>;
  /** When a poll of the source last succeeded. */
  polled_at: Generated<number | null>;
  /** JSON: where the next read of the source continues, in the source's own format. */
  position: Generated<string | null>;
  /** When the source was last read from its beginning. */
  swept_at: Generated<number | null>;
}

/** Records of a source that cannot become deliveries, each once, without their content. */
interface RejectedRecordTable {
  flow: string;
  source: string;
  fingerprint: string;
  /** JSON: the position in the list, and the id. */
  record: string;
  reason: string;
  first_seen_at: number;
  /** When a person accepted it. */
  accepted_at: Generated<number | null>;
}

interface AuditTable {
  id: Generated<number>;
  flow: string;
  finished_at: number;
  /** JSON: how many of each kind. */
  counts: string;
}

/** Systems that have asked for a pause. */
interface SystemTable {
  /** `crm`, `inventory` */
  name: string;
  paused_at: number;
  paused_until: number;
}

/** Records that are gone: nothing about them goes out any more, in any flow. */
interface EndedLaneTable {
  lane: string;
  ended_at: number;
}

export type DeliveryRow = Selectable<DeliveryTable>;
/** What happened to a delivery. */
export type HistoryEvent = Omit<Selectable<EventTable>, 'id' | 'delivery'>;
