import type { Generated, Selectable } from 'kysely';
import type { Status } from '../delivery.ts';

/** The tables as Kysely sees them. Every time is Unix time in milliseconds. */
export interface Tables {
  deliveries: DeliveryTable;
  events: EventTable;
  legs: LegTable;
  rejected_records: RejectedRecordTable;
  audits: AuditTable;
  systems: SystemTable;
}

interface DeliveryTable {
  /** In order of first sighting. */
  sequence: Generated<number>;
  leg: string;
  key: string;
  customer_id: string;
  /** JSON. */
  payload: string;
  status: Status;
  attempts: Generated<number>;
  /** Times the target was asked about the last attempt, or a `READS_OF_…` of `transition.ts`. */
  reads: Generated<number>;
  /** Set while `pending` (when to send) and `unknown` (when to ask the target), else null. */
  next_attempt_at: number | null;
  /** Increased whenever a claim is made or becomes void. */
  fencing_token: Generated<number>;
  lease_expires_at: Generated<number | null>;
  last_error: Generated<string | null>;
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

interface LegTable {
  leg: string;
  /** Null until the target has been asked what it already holds. */
  adopted_at: number | null;
  /** Until this time, only the holder of the turn polls the source. */
  turn_ends_at: number;
  /** When a poll of the source last succeeded. */
  polled_at: number | null;
  /** JSON: where the next read of the source continues, in the source's own format. */
  position: Generated<string | null>;
  /** When the source was last read from its beginning. */
  swept_at: Generated<number | null>;
}

/** Records of a source that cannot become deliveries, each once, without their content. */
interface RejectedRecordTable {
  leg: string;
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
  leg: string;
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

export type DeliveryRow = Selectable<DeliveryTable>;
/** What happened to a delivery. */
export type HistoryEvent = Omit<Selectable<EventTable>, 'id' | 'delivery'>;
