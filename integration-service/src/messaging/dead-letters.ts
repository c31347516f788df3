import type { AsyncMessage, Connection, Envelope } from 'rabbitmq-client';
import {
  connectRabbitmq,
  createConfirmedPublisher,
  encodingOf,
  type RabbitmqOptions,
  rabbitmqReason,
} from 'service-kit/rabbitmq';
import { retryUntilDone } from './retry-until-done.ts';

/** The queue of messages that cannot be used. */
export interface DeadLetters {
  /** Adds a message whose body is bytes, with the reason as a header; false if `signal` aborts first. */
  add(message: AsyncMessage, reason: string): Promise<boolean>;
  close(): void;
}

export interface DeadLettersOptions extends Omit<RabbitmqOptions, 'name'> {
  /** From 0 to below 1. */
  random: () => number;
  /** Ends the retries. */
  signal: AbortSignal;
}

export const DEAD_LETTER_EXCHANGE = 'integration.dead-letter';
const MAX_WAIT_MS = 30_000;

/** Declares the dead-letter exchange, and the dead-letter queue of the queue `of`. */
export async function declareDeadLetters(connection: Connection, of: string): Promise<void> {
  const exchange = DEAD_LETTER_EXCHANGE;
  const queue = `${of}.dead-letter`;
  await connection.exchangeDeclare({ exchange, type: 'direct', durable: true });
  await connection.queueDeclare({
    queue,
    durable: true,
    arguments: { 'x-queue-type': 'quorum' },
  });
  await connection.queueBind({ exchange, queue, routingKey: of });
}

/**
 * The dead letters of a queue. The first one opens a connection for dead letters only: a broker that is short
 * of memory blocks connections that publish, and acknowledgements must not be blocked with them.
 */
export function createDeadLetters(queue: string, options: DeadLettersOptions): DeadLetters {
  const { random, signal, log } = options;
  let opened: ReturnType<typeof open> | undefined;

  function open() {
    const name = 'integration-service, dead letters';
    const connection = connectRabbitmq({ ...options, name });
    return { connection, publish: createConfirmedPublisher(connection, {}) };
  }

  async function tryToAdd(message: AsyncMessage, reason: string, attempt: number): Promise<void> {
    opened ??= open();
    // The consumer declared the queue when it connected, but the queue may have been deleted since.
    if (attempt > 1) await declareDeadLetters(opened.connection, queue);
    const { messageId, type, timestamp, correlationId, contentType } = message;
    const contentEncoding = encodingOf(message);
    // The client leaves out what is undefined.
    const properties = { messageId, type, timestamp, correlationId, contentType, contentEncoding };
    const headers = { ...message.headers, reason };
    const envelope = { exchange: DEAD_LETTER_EXCHANGE, routingKey: queue, headers, ...properties };
    if (await opened.publish(envelope as Envelope, message.body)) return;
    throw new Error(`no queue is bound to the exchange ${DEAD_LETTER_EXCHANGE}`);
  }

  return {
    add: (message, reason) =>
      retryUntilDone((attempt) => tryToAdd(message, reason, attempt), {
        ...{ longestMs: MAX_WAIT_MS, random, signal },
        onFailure(error) {
          const what = `A message that cannot be used (${reason}) cannot be moved`;
          log.warn(`${what} to ${queue}.dead-letter: ${rabbitmqReason(error)}. Trying again.`);
        },
      }),
    close: () => opened?.connection.unsafeDestroy(),
  };
}
