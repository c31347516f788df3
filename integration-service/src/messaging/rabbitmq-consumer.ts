import { setTimeout as sleep } from 'node:timers/promises';
import { type AsyncMessage, ConsumerStatus } from 'rabbitmq-client';
import {
  CUSTOMER_EXCHANGE,
  connectRabbitmq,
  type RabbitmqOptions,
  rabbitmqReason,
  receiveBytes,
} from 'service-kit/rabbitmq';
import { backoffMs } from 'service-kit/retry';
import type { Intake } from '../delivery/ingest/intake.ts';
import type { EventMetrics } from '../delivery/ingest/metrics.ts';
import { LedgerError } from '../delivery/ledger/ledger-error.ts';
import { type CustomerEvent, EventError, readEvent } from '../systems/crm/customer-event.ts';
import { createDeadLetters, DEAD_LETTER_EXCHANGE, declareDeadLetters } from './dead-letters.ts';

export interface ConsumerOptions extends Omit<RabbitmqOptions, 'name'> {
  intake: Intake;
  metrics: EventMetrics;
  /** From 0 to below 1. */
  random: () => number;
  /** How often deleted queues, exchanges and bindings are declared again. Default: every minute. */
  declareEveryMs?: number;
}

export interface RabbitmqConsumer {
  /** Why no messages come; `undefined` when they do. */
  problem(): string | undefined;
  /** Takes no more messages, and requeues those that it has not handled. */
  close(): Promise<void>;
}

const QUEUE = 'integration.welcome-package';
const BINDING = { exchange: CUSTOMER_EXCHANGE.exchange, queue: QUEUE, routingKey: 'customer.#' };
const SOURCE = 'rabbitmq';

/** How often a message (one that kills its consumer, say) is redelivered before it is a dead letter. */
const DELIVERY_LIMIT = 20;
/** The maximum of unacknowledged messages; those that arrive at the same time are committed together. */
const PREFETCH = 250;
const MAX_WAIT_MS = 5_000;
const CLOSE_DEADLINE_MS = 3_000;

const queueOptions = {
  durable: true,
  arguments: {
    'x-queue-type': 'quorum',
    'x-delivery-limit': DELIVERY_LIMIT,
    'x-dead-letter-exchange': DEAD_LETTER_EXCHANGE,
    'x-dead-letter-routing-key': QUEUE,
    // A message leaves the queue only after the dead-letter queue has confirmed it: needs `reject-publish`.
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  },
} as const;

/**
 * Takes customer events from the queue `integration.welcome-package`, which it declares with its
 * bindings and which any number of replicas share. A message is acknowledged when its sighting is
 * committed. A message that is not an event goes to the dead-letter queue, with the header `reason`.
 */
export function createRabbitmqConsumer(options: ConsumerOptions): RabbitmqConsumer {
  const { intake, metrics, random, log, declareEveryMs = 60_000 } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const connection = connectRabbitmq({ ...options, name: 'integration-service' });
  receiveBytes(connection);
  const deadLetters = createDeadLetters(QUEUE, { ...options, signal });
  const consumer = connection.createConsumer(
    {
      queue: QUEUE,
      queueOptions,
      exchanges: [CUSTOMER_EXCHANGE],
      queueBindings: [BINDING],
      qos: { prefetchCount: PREFETCH },
      concurrency: PREFETCH,
    },
    handle,
  );
  consumer.on('error', (error) => {
    // A lost connection loses all unacknowledged messages, and each would log a line of its own.
    const isLost = String(error?.message).startsWith('failed to ack/nack');
    log[isLost ? 'debug' : 'warn'](`The consumer of ${QUEUE}: ${rabbitmqReason(error)}.`);
  });
  metrics.watch(SOURCE, () => connection.ready);
  connection.on('connection', declare);
  const timer = setInterval(() => connection.ready && declare(), declareEveryMs);

  /** The consumer declares its queue and binding when it starts, but does not notice a deleted binding. */
  function declare(): void {
    const declared = async () => {
      await declareDeadLetters(connection, QUEUE);
      await connection.exchangeDeclare(CUSTOMER_EXCHANGE);
      await connection.queueDeclare({ queue: QUEUE, ...queueOptions });
      await connection.queueBind(BINDING);
    };
    declared().catch((error) => {
      if (!signal.aborted) log.warn(`Cannot declare the queue ${QUEUE}: ${rabbitmqReason(error)}.`);
    });
  }

  async function handle(message: AsyncMessage): Promise<ConsumerStatus> {
    let event: CustomerEvent;
    try {
      event = readEvent(message.body);
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      return setAside(message, error.message);
    }
    if (event.kind === 'created') return commit(event);
    metrics.received.inc({ source: SOURCE, result: 'ignored' });
    return ConsumerStatus.ACK;
  }

  /**
   * Keeps the message until its customer is committed, whatever fails meanwhile: requeuing would count
   * against the delivery limit of the message, which is soon used up.
   */
  async function commit({ customer }: Extract<CustomerEvent, { kind: 'created' }>) {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await intake.take(customer);
        return ConsumerStatus.ACK;
      } catch (error) {
        // The ledger logs its own errors.
        if (!(error instanceof LedgerError) && attempt === 1) {
          log.error({ err: error }, `The event of customer ${customer.id} failed. Trying again.`);
        }
      }
      const waitMs = backoffMs(attempt, random, MAX_WAIT_MS);
      await sleep(waitMs, undefined, { signal }).catch(() => {});
    }
    return ConsumerStatus.REQUEUE;
  }

  async function setAside(message: AsyncMessage, reason: string): Promise<ConsumerStatus> {
    if (!(await deadLetters.add(message, reason))) return ConsumerStatus.REQUEUE;
    metrics.received.inc({ source: SOURCE, result: 'invalid' });
    log.warn(`Moved a message to the queue ${QUEUE}.dead-letter: ${reason}.`);
    return ConsumerStatus.ACK;
  }

  return {
    problem: () =>
      connection.ready
        ? undefined
        : 'There is no connection to RabbitMQ. Customers are found by polling until there is.',
    async close() {
      stopping.abort();
      clearInterval(timer);
      const deadline = sleep(CLOSE_DEADLINE_MS, undefined, { ref: false });
      // Without a connection, the consumer would wait for one. If the connection breaks now, the broker
      // requeues all messages.
      if (connection.ready) await Promise.race([consumer.close().catch(() => {}), deadline]);
      connection.unsafeDestroy();
      deadLetters.close();
    },
  };
}
