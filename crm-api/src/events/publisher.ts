import type { CustomerEvent } from '../customer-event.ts';

/**
 * What came of one attempt to send an event:
 * - `sent`: the subscriber has it
 * - `refused`: it does not take this event; others may go on
 * - `unavailable`: it takes none now
 * - `gone`: it wants no more, for good
 */
export type PublishResult =
  | { kind: 'sent' }
  | { kind: 'refused' | 'unavailable'; reason: string; retryAfterMs?: number | undefined }
  | { kind: 'gone'; reason: string };

/** A way to a subscriber. */
export interface Publisher {
  /** Where it leads, without secrets, for the log. */
  target: string;
  /** Events under way at the same time at the most. */
  concurrency: number;
  /** One attempt. Never rejects. An event may arrive although it is not `sent`. */
  publish(event: CustomerEvent): Promise<PublishResult>;
  /** Gives up what is under way. */
  close(): Promise<void>;
}
