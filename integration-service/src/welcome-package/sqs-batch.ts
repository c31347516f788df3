import type { SQSBatchResponse, SQSRecord } from 'aws-lambda';
import type { Logger } from 'service-kit/logger';
import { readEvent } from '../systems/crm/customer-event.ts';
import type { Customer } from '../systems/crm/customer-list.ts';
import { canonicalId } from '../systems/customer-id.ts';

export interface BatchOptions {
  /** Groups under way at the same time. */
  concurrency: number;
  /** Requests the package of a customer; resolves with the reason of a failure, else with `undefined`. */
  deliver: (customer: Customer) => Promise<string | undefined>;
  /** Aborted when the time is over: deliveries that have not ended by then have failed, and no more begin. */
  signal: AbortSignal;
  log: Logger;
}

/**
 * Works through a batch of SQS messages, each an event of the CRM, and names the messages that failed, so
 * that SQS sends them again. Groups of a FIFO queue run in parallel, the messages of a group in order; after
 * a message that failed, the rest of its group counts as failed and is not begun. A customer that occurs
 * twice is delivered once, and both messages share the result. Never throws.
 */
export async function workBatch(
  records: SQSRecord[],
  options: BatchOptions,
): Promise<SQSBatchResponse> {
  const { concurrency, log } = options;
  const failed = new Set<SQSRecord>();
  const deliver = deliverOnce(options);
  // In a standard queue, each message is a group of its own.
  const groups = Map.groupBy(records, (record) => record.attributes?.MessageGroupId ?? record);
  const queue = groups.values();

  async function workGroups(): Promise<void> {
    for (const group of queue) await workGroup(group);
  }

  async function workGroup(group: SQSRecord[]): Promise<void> {
    let first: SQSRecord | undefined;
    for (const record of group) {
      const reason = first
        ? `message ${first.messageId} of its group failed before it`
        : await workRecord(record);
      if (reason === undefined) continue;
      first ??= record;
      failed.add(record);
      log.error(`Message ${record.messageId} failed: ${reason}`);
    }
  }

  async function workRecord({ body }: SQSRecord): Promise<string | undefined> {
    try {
      const event = readEvent(body);
      if (event.kind === 'unusable') return `it is no event of a customer: ${event.reason}`;
      return event.kind === 'created' ? await deliver(event.customer) : undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  await Promise.all(Array.from({ length: Math.min(concurrency, groups.size) }, workGroups));
  return {
    batchItemFailures: records
      .filter((record) => failed.has(record))
      .map(({ messageId }) => ({ itemIdentifier: messageId })),
  };
}

/** Delivers each customer once, until the time is over. */
function deliverOnce({ deliver, signal }: BatchOptions): BatchOptions['deliver'] {
  const deliveries = new Map<string, Promise<string | undefined>>();
  const { promise: timeIsOver, resolve } = Promise.withResolvers<string>();
  const end = () => resolve('the time of this invocation is over');
  if (signal.aborted) end();
  signal.addEventListener('abort', end);

  return async (customer) => {
    if (signal.aborted) return timeIsOver;
    const key = canonicalId(customer.id);
    const delivery = deliveries.get(key) ?? Promise.race([deliver(customer), timeIsOver]);
    deliveries.set(key, delivery);
    return delivery;
  };
}
