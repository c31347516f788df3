import type { CustomerEvent } from '../customer-event.ts';

/**
 * The result of one attempt to send an event:
 * - `sent`: the subscriber has the event
 * - `refused`: the subscriber does not accept this event; others may be sent
 * - `unavailable`: the subscriber accepts no events at the moment
 * - `gone`: the subscriber will never accept events again
 */
export type PublishResult =
  | { kind: 'sent' }
  | { kind: 'refused' | 'unavailable'; reason: string; retryAfterMs?: number | undefined }
  | { kind: 'gone'; reason: string };

/** Sends events to one subscriber. */
export interface Publisher {
  /** The subscriber's address without secrets, for the log. */
  target: string;
  /** Maximum number of concurrent attempts. */
  concurrency: number;
  /** Makes one attempt. Never rejects. An event may have arrived even if the result is not `sent`. */
  publish(event: CustomerEvent): Promise<PublishResult>;
  /** Aborts the attempts under way. */
  close(): Promise<void>;
}
