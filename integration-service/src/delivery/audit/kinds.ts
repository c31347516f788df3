import type { Status } from '../delivery.ts';

/** What an audit can distinguish. */
export const AUDIT_KINDS = [
  'missing',
  'different',
  'doubled',
  'orphaned',
  'extra',
  'dead',
  'held',
  'in_flight',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];
/** Those that do not go away by themselves. */
export const DRIFT: readonly AuditKind[] = ['missing', 'different', 'doubled', 'orphaned', 'dead'];

/** A field in which the target differs from what it should have. Absent is `undefined` or `null`. */
export interface Difference {
  field: string;
  expected: unknown;
  found: unknown;
}

/** A record of a flow that supersedes, in which an audit has found drift. */
export interface Drift {
  lane: string;
  /** The key of the latest delivery of the lane; `undefined` if the ledger has none. */
  key: string | undefined;
  /** The status of that delivery. */
  status: Status | undefined;
  /** What the target shows of the record; `undefined` if it does not list it. */
  content: unknown;
}
