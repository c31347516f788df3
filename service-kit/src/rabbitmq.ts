import { setImmediate as otherEvents } from 'node:timers/promises';
import { type Channel, Connection, type Envelope, type PublisherProps } from 'rabbitmq-client';
import { messageOf } from './error-message.ts';
import type { Logger } from './logger.ts';

export interface RabbitmqOptions {
  /** `amqp://user:password@host:port/vhost`, or `amqps:`. */
  url: URL;
  /** The name of the connection in the management UI. */
  name: string;
  log: Logger;
}

/**
 * Connects to RabbitMQ, and reconnects whenever the connection is lost, without a limit. A peer that is
 * silent for 20 s, two heartbeats, counts as lost.
 */
export function connectRabbitmq({ url, name, log }: RabbitmqOptions): Connection {
  const connection = new Connection({
    url: url.href,
    connectionName: name,
    heartbeat: 10,
    connectionTimeout: 5_000,
    acquireTimeout: 10_000,
    retryLow: 250,
    retryHigh: 5_000,
  });
  connection.on('connection', () => log.info(`Connected to RabbitMQ at ${url.host}.`));
  // Logged once, until there is a connection again.
  connection.on('error', (error) =>
    log.warn(`No connection to RabbitMQ at ${url.host}: ${rabbitmqReason(error)}. Trying again.`),
  );
  connection.on('connection.blocked', (reason) =>
    log.warn(`RabbitMQ at ${url.host} takes no messages now: ${reason}.`),
  );
  connection.on('connection.unblocked', () =>
    log.info(`RabbitMQ at ${url.host} takes messages again.`),
  );
  return connection;
}

/** An encoding that the client does not set itself. It does not touch the body of a message with it. */
const AS_IT_IS = 'identity';

/**
 * Makes the connection deliver message bodies as the received bytes. Otherwise the client parses or
 * decodes bodies declared as JSON or text, which loses invalid UTF-8, long numbers and the original
 * spelling.
 */
export function receiveBytes(connection: Connection): void {
  const { acquire } = connection;
  connection.acquire = async (options) => {
    const channel = (await acquire.call(connection, options)) as Channel & Receiving;
    const { _onHeader: onHeader } = channel;
    channel._onHeader = (frame) => {
      frame.fields.contentEncoding ||= AS_IT_IS;
      onHeader.call(channel, frame);
    };
    return channel;
  };
}

/** The encoding that the sender named, if any. */
export function encodingOf({ contentEncoding }: Envelope): string | undefined {
  return contentEncoding === AS_IT_IS ? undefined : contentEncoding;
}

/** Private to the client, whose version is pinned. */
interface Receiving {
  _onHeader(frame: { fields: { contentEncoding?: string } }): void;
}

/** The message of a client error, in words for people. */
export function rabbitmqReason(error: unknown): string {
  const message = messageOf(error);
  if (message.startsWith('channel aquisition timed out')) return 'there is no connection';
  // For a refused log-in, the client's message starts with `undefined: `.
  return message.replace(/^undefined: /, '').replace(/\.$/, '');
}

const SEND_ID = 'send-id';

/**
 * A publisher of durable messages. A message counts as sent when the broker has confirmed it.
 *
 * @returns sends a message; resolves with false if the broker returned it because no queue is bound for
 * it, and rejects if the broker did not confirm it
 */
export function createConfirmedPublisher(
  connection: Connection,
  props: Pick<PublisherProps, 'exchanges'>,
): (envelope: Envelope, body: Buffer) => Promise<boolean> {
  const publisher = connection.createPublisher({ ...props, confirm: true });
  const returned = new Set<number>();
  let lastId = 0;
  publisher.on('basic.return', ({ headers }) => {
    returned.add(headers?.[SEND_ID]);
  });
  return async (envelope, body) => {
    // Not the message's own id: two messages under way may have the same id, or none.
    const id = ++lastId;
    const headers = { ...envelope.headers, [SEND_ID]: id };
    try {
      await publisher.send({ ...envelope, headers, durable: true, mandatory: true }, body);
      // The broker sends a return before its confirmation, but the client emits the return one turn later.
      await otherEvents();
      return !returned.has(id);
    } finally {
      returned.delete(id);
    }
  };
}

/** The exchange to which customer events are published. Each consumer binds its own queue to it. */
export const CUSTOMER_EXCHANGE = {
  exchange: 'crm.customers',
  type: 'topic',
  durable: true,
} as const;
