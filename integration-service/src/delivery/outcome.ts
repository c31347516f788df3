/**
 * The outcome of one call to a target:
 * - `delivered`: the target has said that it has the delivery, and under which id
 * - `stale`: the target holds a later state; without a successor in the ledger, this is drift
 * - `transient`: the call certainly had no effect; the delivery is tried again
 * - `throttled`: the target asks for fewer calls of all kinds; it did nothing, and is paused
 * - `unknown`: the call may have taken effect; the target is asked before the delivery is tried again
 * - `permanent`: the target refused the delivery; trying again cannot help
 * - `unauthorized`: the target refused us, not the delivery; nothing can be sent until that is fixed
 * - `aborted`: not sent, for a reason of our own; it counts as not tried
 */
export type Outcome =
  | { kind: 'delivered'; targetId: string; statusCode?: number }
  | { kind: 'stale' | 'permanent' | 'unauthorized'; reason: string; statusCode?: number }
  | { kind: 'transient'; reason: string; statusCode?: number; retryAfterMs?: number | undefined }
  | { kind: 'throttled'; reason: string; statusCode?: number; retryAfterMs?: number | undefined }
  | {
      kind: 'unknown';
      reason: string;
      statusCode?: number;
      retryAfterMs?: number | undefined;
      /**
       * The target refused the delivery because it already exists there. If the target turns out not to
       * have it, it is dead.
       */
      saysItExists?: true;
    }
  | { kind: 'aborted'; reason: string };

/** Every kind of outcome. */
export const OUTCOMES = [
  'delivered',
  'stale',
  'transient',
  'throttled',
  'unknown',
  'permanent',
  'unauthorized',
  'aborted',
] as const satisfies Outcome['kind'][];

/** A call is aborted when its `onSend` throws this. */
export class AbortedError extends Error {
  override readonly name = 'AbortedError';
  readonly code = 'ABORTED';
}
