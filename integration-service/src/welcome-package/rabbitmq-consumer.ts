import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AsyncMessage, ConsumerStatus } from 'rabbitmq-client';
import { messageOf } from 'service-kit/error-message';
import {
  CUSTOMER_EXCHANGE,
  connectRabbitmq,
  createConfirmedPublisher,
  type RabbitmqOptions,
} from 'service-kit/rabbitmq';
import { backoffMs } from 'service-kit/retry';
import { LedgerError } from '../delivery/ledger/ledger-error.ts';
import type { EventMetrics } from '../metrics.ts';
import { type CustomerEvent, EventError, parseEvent, readEvent } from './customer-event.ts';
import type { Intake } from './intake.ts';

export interface ConsumerOptions extends Omit<RabbitmqOptions, 'name'> {
  intake: Intake;
  metrics: EventMetrics;
  /** From 0 to below 1. */
  random: () => number;
}

export interface RabbitmqConsumer {
  /** Takes no more messages, and gives back those that it has not dealt with. */
  close(): Promise<void>;
}

const QUEUE = 'integration.welcome-package';
const DEAD_LETTER_EXCHANGE = 'integration.dead-letter';
const DEAD_LETTER_QUEUE = `${QUEUE}.dead-letter`;

/** What may go wrong with a message by itself, such as killing the process, before it is set aside. */
const DELIVERY_LIMIT = 20;
/** Messages in hand, of which all that come in the same moment are committed together. */
const PREFETCH = 250;
const MAX_WAIT_MS = 5_000;
const CLOSE_DEADLINE_MS = 3_000;

const deadLetterQueue = {
  queue: DEAD_LETTER_QUEUE,
  durable: true,
  arguments: { 'x-queue-type': 'quorum' },
} as const;

const queueOptions = {
  durable: true,
  arguments: {
    'x-queue-type': 'quorum',
    'x-delivery-limit': DELIVERY_LIMIT,
    'x-dead-letter-exchange': DEAD_LETTER_EXCHANGE,
    'x-dead-letter-routing-key': QUEUE,
    // A message leaves when the dead-letter queue has confirmed it, which asks for the other setting.
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  },
} as const;

/**
 * Takes customer events from the queue `integration.welcome-package`, which it declares with its
 * bindings and which any number of replicas share. A message is acknowledged when its sighting is
 * committed. One that is no event goes to the dead-letter queue, with the header `reason`.
 */
export function createRabbitmqConsumer(options: ConsumerOptions): RabbitmqConsumer {
  const { intake, metrics, random, log } = options;
  const source = 'rabbitmq';
  const stopping = new AbortController();
  const connection = connectRabbitmq({ ...options, name: 'integration-service' });
  const deadLetterExchange = { exchange: DEAD_LETTER_EXCHANGE, type: 'direct', durable: true };
  const publish = createConfirmedPublisher(connection, { exchanges: [deadLetterExchange] });

  const consumer = connection.createConsumer(
    {
      queue: QUEUE,
      queueOptions,
      exchanges: [CUSTOMER_EXCHANGE],
      queueBindings: [
        { exchange: CUSTOMER_EXCHANGE.exchange, queue: QUEUE, routingKey: 'customer.#' },
      ],
      qos: { prefetchCount: PREFETCH },
      concurrency: PREFETCH,
    },
    handle,
  );
  consumer.on('error', (error) => log.warn(`The consumer of ${QUEUE}: ${messageOf(error)}.`));
  connection.on('connection', () => {
    declareDeadLetters().catch((error) =>
      log.warn(`The queue ${DEAD_LETTER_QUEUE} cannot be declared: ${messageOf(error)}.`),
    );
  });

  async function declareDeadLetters(): Promise<void> {
    await connection.exchangeDeclare(deadLetterExchange);
    await connection.queueDeclare(deadLetterQueue);
    const queue = DEAD_LETTER_QUEUE;
    await connection.queueBind({ exchange: DEAD_LETTER_EXCHANGE, queue, routingKey: QUEUE });
  }

  async function handle(message: AsyncMessage): Promise<ConsumerStatus> {
    let event: CustomerEvent;
    try {
      event = parseMessage(message);
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      await setAside(message, error.message);
      return ConsumerStatus.ACK;
    }
    if (event.kind === 'created') return commit(event);
    metrics.received.inc({ source, result: 'ignored' });
    return ConsumerStatus.ACK;
  }

  /** Keeps the message while the ledger cannot be used: to give it back would count against it. */
  async function commit({ customer }: Extract<CustomerEvent, { kind: 'created' }>) {
    for (let attempt = 1; !stopping.signal.aborted; attempt++) {
      try {
        await intake.take({ customer });
        return ConsumerStatus.ACK;
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error;
      }
      const waitMs = backoffMs(attempt, random, MAX_WAIT_MS);
      await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
    return ConsumerStatus.REQUEUE;
  }

  async function setAside(message: AsyncMessage, reason: string): Promise<void> {
    metrics.received.inc({ source, result: 'invalid' });
    const { body, contentType = 'application/json', messageId = randomUUID() } = message;
    const isRouted = await publish(
      {
        ...{ exchange: DEAD_LETTER_EXCHANGE, routingKey: QUEUE, messageId, contentType },
        headers: { ...message.headers, reason },
      },
      Buffer.isBuffer(body)
        ? body
        : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    );
    if (!isRouted) throw new Error(`no queue is bound to the exchange ${DEAD_LETTER_EXCHANGE}`);
    log.warn(`Moved a message to the queue ${DEAD_LETTER_QUEUE}: ${reason}.`);
  }

  return {
    async close() {
      stopping.abort();
      const deadline = sleep(CLOSE_DEADLINE_MS, undefined, { ref: false });
      // Without a connection it would wait for one.
      if (connection.ready) await Promise.race([consumer.close(), deadline]);
      connection.unsafeDestroy();
    },
  };
}

/** The client has parsed the body already if it is said to be JSON, and made a text of one that is text. */
function parseMessage({ body }: AsyncMessage): CustomerEvent {
  if (Buffer.isBuffer(body) || typeof body === 'string') return readEvent(body);
  const event = parseEvent(body);
  // What was not UTF-8 has become this character, and the id another id.
  if (event.kind === 'created' && event.customer.id.includes('\ufffd')) {
    throw new EventError('its customer cannot be used: its id is not valid UTF-8');
  }
  return event;
}
