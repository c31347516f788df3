import { setImmediate as otherEvents } from 'node:timers/promises';
import { type Channel, Connection, type Envelope, type PublisherProps } from 'rabbitmq-client';
import { messageOf } from './error-message.ts';
import type { Logger } from './logger.ts';

export interface RabbitmqOptions {
  /** `amqp://user:password@host:port/vhost`, or `amqps:`. */
  url: URL;
  /** How the management UI shows the connection. */
  name: string;
  log: Logger;
}

/**
 * Connects to RabbitMQ, and again whenever the connection is lost, for as long as it takes. A peer
 * that is silent for 20 s, two heartbeats, is taken for lost.
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
  // Said once, until there is a connection again.
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

/** What the client does not set itself, and keeps its hands off the body of a message that has it. */
const AS_IT_IS = 'identity';

/**
 * Has the connection give the bodies of messages as the bytes that came: what is said to be JSON or text,
 * the client parses and decodes otherwise, and bad UTF-8, numbers and spellings are lost.
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

/** The encoding that the sender named. */
export function encodingOf({ contentEncoding }: Envelope): string | undefined {
  return contentEncoding === AS_IT_IS ? undefined : contentEncoding;
}

/** Private to the client, whose version is fixed. */
interface Receiving {
  _onHeader(frame: { fields: { contentEncoding?: string } }): void;
}

/** What an error of the client says, in words for people. */
export function rabbitmqReason(error: unknown): string {
  const message = messageOf(error);
  if (message.startsWith('channel aquisition timed out')) return 'there is no connection';
  // Of a refused log-in, the client says `undefined: ` first.
  return message.replace(/^undefined: /, '').replace(/\.$/, '');
}

const SEND_ID = 'send-id';

/**
 * A publisher of durable messages that counts a message as sent when the broker has confirmed it.
 *
 * @returns sends a message; resolves with false when it came back because no queue is bound for it,
 * and rejects when it was not confirmed
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
    // Not the message's own id: two may be under way with the same, or without any.
    const id = ++lastId;
    const headers = { ...envelope.headers, [SEND_ID]: id };
    try {
      await publisher.send({ ...envelope, headers, durable: true, mandatory: true }, body);
      // A return comes before its confirmation, and the client tells of it one turn later.
      await otherEvents();
      return !returned.has(id);
    } finally {
      returned.delete(id);
    }
  };
}

/** Where customer events are published; what reads them binds a queue of its own to it. */
export const CUSTOMER_EXCHANGE = { exchange: 'crm.customers', type: 'topic', durable: true };
