import {
  CUSTOMER_EXCHANGE,
  connectRabbitmq,
  createConfirmedPublisher,
  type RabbitmqOptions,
  rabbitmqReason,
} from 'service-kit/rabbitmq';
import type { Publisher } from './publisher.ts';

/** Maximum number of unconfirmed events. The broker confirms each one separately. */
const CONCURRENCY = 256;

const { exchange } = CUSTOMER_EXCHANGE;

/**
 * Publishes events to the exchange `crm.customers`, with the routing key `customer.create`. An event
 * counts as sent when the broker has confirmed it: a queue has it, on disk if the queue is durable. When
 * no queue is bound, the broker returns the event, and the event queue keeps it.
 */
export function createRabbitmqPublisher(options: Omit<RabbitmqOptions, 'name'>): Publisher {
  const connection = connectRabbitmq({ ...options, name: 'crm-api' });
  const send = createConfirmedPublisher(connection, { exchanges: [CUSTOMER_EXCHANGE] });

  return {
    target: `RabbitMQ at ${options.url.host}`,
    concurrency: CONCURRENCY,

    async publish({ id, type, json }) {
      const routingKey = `customer.${type.toLowerCase()}`;
      const contentType = 'application/json';
      try {
        const envelope = { exchange, routingKey, messageId: id, type, contentType };
        if (await send(envelope, Buffer.from(json))) return { kind: 'sent' };
        return { kind: 'unavailable', reason: `no queue is bound to the exchange ${exchange}` };
      } catch (error) {
        return { kind: 'unavailable', reason: rabbitmqReason(error) };
      }
    },

    async close() {
      connection.unsafeDestroy();
    },
  };
}
