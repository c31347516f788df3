import { setTimeout as sleep } from 'node:timers/promises';
import { type AsyncMessage, ConsumerStatus } from 'rabbitmq-client';
import {
  connectRabbitmq,
  type RabbitmqOptions,
  rabbitmqReason,
  receiveBytes,
} from 'service-kit/rabbitmq';
import type { Item } from '../delivery/delivery.ts';
import type { OpenSource, Sink } from '../delivery/flow.ts';
import type { EventMetrics } from '../delivery/ingest/metrics.ts';
import { LedgerError } from '../delivery/ledger/ledger-error.ts';
import { createDeadLetters, DEAD_LETTER_EXCHANGE, declareDeadLetters } from './dead-letters.ts';
import { retryUntilDone } from './retry-until-done.ts';

/** What a message is for. */
export type Message =
  | { kind: 'items'; items: readonly Item[] }
  /** It changes nothing. */
  | { kind: 'ignored' }
  | { kind: 'unusable'; reason: string };

export interface ConsumerOptions extends Omit<RabbitmqOptions, 'name'> {
  /** Declared by the consumer; any number of replicas share it. */
  queue: string;
  exchange: { exchange: string; type: 'topic'; durable: boolean };
  routingKey: string;
  read: (body: Buffer) => Message;
  sink: Sink;
  metrics: EventMetrics;
  /** From 0 to below 1. */
  random: () => number;
  /** How often deleted queues, exchanges and bindings are declared again. Default: every minute. */
  declareEveryMs?: number;
}

/** How often a message (one that kills its consumer, say) is redelivered before it is a dead letter. */
const DELIVERY_LIMIT = 20;
/** The maximum of unacknowledged messages; those that arrive at the same time are committed together. */
const PREFETCH = 250;
const MAX_WAIT_MS = 5_000;
const CLOSE_DEADLINE_MS = 3_000;

const queueOptions = (queue: string) =>
  ({
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': DELIVERY_LIMIT,
      'x-dead-letter-exchange': DEAD_LETTER_EXCHANGE,
      'x-dead-letter-routing-key': queue,
      // A message leaves the queue only after the dead-letter queue has confirmed it: needs `reject-publish`.
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    },
  }) as const;

/**
 * Takes messages from a queue, which it declares with its binding. A message is acknowledged when its items
 * are committed. A message that cannot be used goes to the dead-letter queue, with the header `reason`. On
 * closing, what is not handled is requeued.
 */
export function createRabbitmqConsumer(options: ConsumerOptions): OpenSource {
  const { queue, exchange, routingKey, read, sink, metrics, random, log } = options;
  const { declareEveryMs = 60_000 } = options;
  const binding = { exchange: exchange.exchange, queue, routingKey };
  const stopping = new AbortController();
  const { signal } = stopping;
  const connection = connectRabbitmq({ ...options, name: 'integration-service' });
  receiveBytes(connection);
  const deadLetters = createDeadLetters(queue, { ...options, signal });
  const consumer = connection.createConsumer(
    {
      queue,
      queueOptions: queueOptions(queue),
      exchanges: [exchange],
      queueBindings: [binding],
      qos: { prefetchCount: PREFETCH },
      concurrency: PREFETCH,
    },
    handle,
  );
  consumer.on('error', (error) => {
    // A lost connection loses all unacknowledged messages, and each would log a line of its own.
    const isLost = String(error?.message).startsWith('failed to ack/nack');
    log[isLost ? 'debug' : 'warn'](`The consumer of ${queue}: ${rabbitmqReason(error)}.`);
  });
  metrics.watch(() => connection.ready);
  connection.on('connection', declare);
  const timer = setInterval(() => connection.ready && declare(), declareEveryMs);

  /** The consumer declares its queue and binding when it starts, but does not notice a deleted binding. */
  function declare(): void {
    const declared = async () => {
      await declareDeadLetters(connection, queue);
      await connection.exchangeDeclare(exchange);
      await connection.queueDeclare({ queue, ...queueOptions(queue) });
      await connection.queueBind(binding);
    };
    declared().catch((error) => {
      if (!signal.aborted) log.warn(`Cannot declare the queue ${queue}: ${rabbitmqReason(error)}.`);
    });
  }

  async function handle(message: AsyncMessage): Promise<ConsumerStatus> {
    const found = read(message.body);
    if (found.kind === 'unusable') return setAside(message, found.reason);
    if (found.kind === 'items') return commit(found.items);
    metrics.count('ignored');
    return ConsumerStatus.ACK;
  }

  /**
   * Keeps the message until its items are committed, whatever fails meanwhile: requeuing would count
   * against the delivery limit of the message, which is soon used up.
   */
  async function commit(items: readonly Item[]): Promise<ConsumerStatus> {
    const isCommitted = await retryUntilDone(async () => void (await sink(items)), {
      ...{ longestMs: MAX_WAIT_MS, random, signal },
      onFailure(error, attempt) {
        // The ledger logs its own errors.
        if (error instanceof LedgerError || attempt > 1) return;
        log.error({ err: error }, `The event of ${items[0]?.lane} failed. Trying again.`);
      },
    });
    return isCommitted ? ConsumerStatus.ACK : ConsumerStatus.REQUEUE;
  }

  async function setAside(message: AsyncMessage, reason: string): Promise<ConsumerStatus> {
    if (!(await deadLetters.add(message, reason))) return ConsumerStatus.REQUEUE;
    metrics.count('invalid');
    log.warn(`Moved a message to the queue ${queue}.dead-letter: ${reason}.`);
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
