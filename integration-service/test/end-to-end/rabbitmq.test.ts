import { Registry } from 'prom-client';
import { Connection, type SyncMessage } from 'rabbitmq-client';
import { receiveBytes } from 'service-kit/rabbitmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTcpProxy } from '../../prove/systems/tcp-proxy.ts';
import type { Item } from '../../src/delivery/delivery.ts';
import { createEventMetrics } from '../../src/delivery/ingest/metrics.ts';
import { LedgerError } from '../../src/delivery/ledger/ledger-error.ts';
import {
  type ConsumerOptions,
  createRabbitmqConsumer,
} from '../../src/messaging/rabbitmq-consumer.ts';
import { readMessage } from '../../src/welcome-package/item.ts';
import { captureLog, packageRequest, startHttpServer } from '../support.ts';
import { hasDocker, useBroker } from './broker.ts';
import { startService } from './processes.ts';

const EXCHANGE = 'crm.customers';
const QUEUE = 'integration.welcome-package';

const brokerUrl = hasDocker ? useBroker() : () => '';

/** A separate connection for the test. */
function connect(): Connection {
  const connection = new Connection(brokerUrl());
  connection.on('error', () => {});
  onTestFinished(() => connection.unsafeDestroy());
  return connection;
}

/** An inventory on loopback that remembers the customers that it was asked for. */
async function startInventory() {
  const asked: string[] = [];
  const url = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') {
      return response.end(JSON.stringify(asked.map((id) => packageRequest(id))));
    }
    let body = '';
    for await (const chunk of request) body += chunk;
    const { customer_id } = JSON.parse(body);
    asked.push(customer_id);
    response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
  });
  return { asked, url };
}

/** A CRM that lists nothing: customers come only through the broker. */
const startCrm = () => startHttpServer((_request, response) => response.end('[]'));

async function startConsumer(env: NodeJS.ProcessEnv = {}) {
  const inventory = await startInventory();
  const service = await startService('integration-service', {
    CRM_API_URL: await startCrm(),
    INVENTORY_API_URL: inventory.url,
    CRM_EVENTS_URL: brokerUrl(),
    LOG_LEVEL: 'debug',
    ...env,
  });
  return { ...service, asked: inventory.asked };
}

/** The same, once it is connected, with a separate connection and sender for the test. */
async function startConnected(env: NodeJS.ProcessEnv = {}) {
  const service = await startConsumer(env);
  await service.until(/Connected to RabbitMQ/);
  return { ...service, ...(await untilQueue()) };
}

/** Resolves when the queue exists, is empty and is bound. */
async function untilQueue() {
  const connection = connect();
  await expect.poll(() => count(connection, QUEUE).catch(() => -1)).toBe(0);
  // The consumer does the same after it has declared the queue; it may not have done so yet.
  await connection.exchangeDeclare({ exchange: EXCHANGE, type: 'topic', durable: true });
  await connection.queueBind({ exchange: EXCHANGE, queue: QUEUE, routingKey: 'customer.#' });
  return { connection, send: await createSender(connection) };
}

const eventOf = (id: unknown) => ({ event_type: 'CREATE', customer: { id, name: 'Jane' } });

/** Publishes to the exchange. To be called once a queue is bound to it. */
async function createSender(connection: Connection) {
  const publisher = connection.createPublisher({ confirm: true });
  return (body: unknown, contentType = 'application/json', messageId = 'an id') =>
    publisher.send(
      { exchange: EXCHANGE, routingKey: 'customer.create', contentType, messageId, durable: true },
      Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body)),
    );
}

async function get(connection: Pick<Connection, 'basicGet'>, queue: string): Promise<SyncMessage> {
  let message: SyncMessage | undefined;
  await expect
    .poll(async () => (message = await connection.basicGet({ queue, noAck: true })))
    .toBeDefined();
  return message as SyncMessage;
}

async function count(connection: Connection, queue: string): Promise<number> {
  return (await connection.queueDeclare({ queue, passive: true })).messageCount;
}

/** The connection state in the service's metrics. */
async function connected(serviceUrl: string): Promise<string | undefined> {
  const metrics = await (await fetch(`${serviceUrl}/metrics`)).text();
  return /^event_source_connected\{flow="welcome-package",source="rabbitmq"\} (.)$/m.exec(
    metrics,
  )?.[1];
}

/** A consumer in this process whose items the test takes; with its log. */
async function consume(
  take: (item: Item) => Promise<void>,
  options: Partial<ConsumerOptions> = {},
) {
  const { log, ...logged } = captureLog();
  const consumer = createRabbitmqConsumer({
    url: new URL(brokerUrl()),
    ...{ queue: QUEUE, routingKey: 'customer.#', read: readMessage },
    exchange: { exchange: EXCHANGE, type: 'topic', durable: true },
    async sink(items) {
      for (const item of items) await take(item);
      return { new: items.length, known: 0, held: 0, superseded: 0 };
    },
    metrics: createEventMetrics(new Registry())({ flow: 'welcome-package', source: 'rabbitmq' }),
    log,
    random: () => 0,
    ...options,
  });
  onTestFinished(() => consumer.close());
  await logged.until('Connected to RabbitMQ');
  return { consumer, ...(await untilQueue()), ...logged };
}

describe.skipIf(!hasDocker)('a consumer of RabbitMQ', () => {
  it('takes each message once its customer is in the ledger, and has one package requested for each', async () => {
    const { connection, send, ...service } = await startConnected();
    const ids = Array.from({ length: 500 }, (_, i) => `customer-${i}`);
    await Promise.all([...ids, ...ids].map((id) => send(eventOf(id))));
    await service.until(/Successfully created package request/, ids.length);
    expect(service.asked.toSorted()).toEqual(ids.toSorted());
    expect(await count(connection, QUEUE)).toBe(0);
    expect(await connected(service.url)).toBe('1');
    expect(await service.stop()).toBe(0);
  });

  const latin1 = Buffer.from('{"event_type":"CREATE","customer":{"id":"\xff"}}', 'latin1');
  it.each([
    ['no JSON', '{"event', 'application/json', 'it is not JSON'],
    ['no UTF-8', Buffer.from([0xff]), 'application/octet-stream', 'it is not valid UTF-8'],
    ['JSON that is no UTF-8', latin1, 'application/json', 'it is not valid UTF-8'],
    ['text that is no UTF-8', latin1, 'text/plain', 'it is not valid UTF-8'],
    [
      'no event',
      '{ "a": 1.0, "a": 12345678901234567890 }',
      'application/json',
      'its event_type is none of CREATE, UPDATE and DELETE',
    ],
    [
      'no customer',
      '{"event_type":"CREATE","customer":{"id":12345678901234567890}}',
      'application/json',
      'its customer cannot be used: its id is not a string',
    ],
  ])(
    'sets a message aside byte by byte that is %s, with the reason, and goes on',
    async (_, body, type, reason) => {
      const { connection, send, ...service } = await startConnected();
      await send(Buffer.from(body), type);
      await send(eventOf(`after ${reason}`));
      await service.until(/Successfully created package request/);
      receiveBytes(connection);
      const channel = await connection.acquire();
      const message = await get(channel, `${QUEUE}.dead-letter`);
      expect(message).toMatchObject({ headers: { reason }, contentType: type });
      expect(message.body).toEqual(Buffer.from(body));
      await service.until(/Moved a message to the queue integration\.welcome-package\.dead-letter/);
      expect(await count(connection, QUEUE)).toBe(0);
    },
  );

  it('takes a message that begins with a byte order mark, whatever it is said to be', async () => {
    const { send, ...service } = await startConnected();
    const types = ['text/plain', 'application/json', 'application/octet-stream'];
    for (const type of types)
      await send(Buffer.from(`\ufeff${JSON.stringify(eventOf(type))}`), type);
    await service.until(/Successfully created package request/, types.length);
    expect(service.asked.toSorted()).toEqual(types.toSorted());
  });

  it('takes UPDATE and DELETE without doing anything', async () => {
    const { send, ...service } = await startConnected();
    for (const event_type of ['UPDATE', 'DELETE']) await send({ ...eventOf('a'), event_type });
    await send(eventOf('b'));
    await service.until(/Successfully created package request/);
    expect(service.asked).toEqual(['b']);
  });

  it('gives back what it has not dealt with when it stops, for the next to take', async () => {
    const { connection, send, stop } = await startConnected();
    expect(await stop()).toBe(0);
    await send(eventOf('waits'));
    expect(await count(connection, QUEUE)).toBe(1);
    const second = await startConsumer();
    await second.until(/Successfully created package request for customer ID: waits/);
  });

  it('keeps a message while the ledger cannot be used, and gives it back when it stops meanwhile', async () => {
    const taken: string[] = [];
    const tried = Promise.withResolvers<void>();
    let failures = 3;
    const { consumer, connection, send } = await consume(async ({ lane }) => {
      if (lane === 'never') tried.resolve();
      if (lane === 'never' || failures-- > 0) throw new LedgerError('full', 'no room');
      taken.push(lane);
    });
    await send(eventOf('soon'));
    await expect.poll(() => taken).toEqual(['soon']);
    await send(eventOf('never'));
    await tried.promise;
    await consumer.close();
    const message = await get(connection, QUEUE);
    expect(message.body).toEqual(eventOf('never'));
    expect(await count(connection, QUEUE)).toBe(0);
  });

  it('keeps a message also when its transaction fails for a reason that nobody knows', async () => {
    const done = Promise.withResolvers<void>();
    // More often than the limit of returns.
    let failures = 30;
    const { consumer, connection, send, messages } = await consume(async () => {
      if (failures-- > 0) throw new Error('no idea');
      done.resolve();
    });
    await send(eventOf('a'));
    await done.promise;
    await consumer.close();
    expect(await count(connection, `${QUEUE}.dead-letter`)).toBe(0);
    expect(messages('error')).toHaveLength(1);
  });

  it('makes the queue of dead letters again when it is gone, and loses none of them', async () => {
    const { connection, send, until } = await consume(async () => {});
    await connection.queueDelete(`${QUEUE}.dead-letter`);
    // The same id twice, and no id: every message must arrive.
    for (const messageId of ['same', 'same', ''])
      await send({ not: 'an event' }, undefined, messageId);
    await until('Moved a message', 3);
    expect(await count(connection, `${QUEUE}.dead-letter`)).toBe(3);
    await connection.queuePurge(`${QUEUE}.dead-letter`);
  });

  it('binds its queue again when the binding is gone', async () => {
    const taken: string[] = [];
    const { connection, send } = await consume(async ({ lane }) => void taken.push(lane), {
      declareEveryMs: 100,
    });
    await connection.queueUnbind({ exchange: EXCHANGE, queue: QUEUE, routingKey: 'customer.#' });
    await expect
      .poll(async () => {
        await send(eventOf('bound again'));
        return taken.length;
      })
      .toBeGreaterThan(0);
  });

  it('ends well when the broker is gone in the moment in which it stops', async () => {
    using proxy = await createTcpProxy(new URL(brokerUrl()));
    const url = new URL(brokerUrl());
    url.port = String(proxy.port);
    const { stop } = await startConnected({ CRM_EVENTS_URL: url.href });
    const cut = proxy.cut('request');
    expect(await stop()).toBe(0);
    await cut;
  });

  it('stops at once also while nobody answers at its URL', async () => {
    const service = await startConsumer({ CRM_EVENTS_URL: 'amqp://a:b@127.0.0.1:1' });
    await service.until(
      /No connection to RabbitMQ at 127\.0\.0\.1:1: .*ECONNREFUSED.*Trying again/,
    );
    await service.until(/Polling cycle finished/);
    expect(await connected(service.url)).toBe('0');
    expect(await service.stop()).toBe(0);
  });
});

describe.skipIf(!hasDocker)('crm-api as a publisher to RabbitMQ', () => {
  const create = async (url: string, name: string) => {
    const response = await fetch(`${url}/customers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, email: `${crypto.randomUUID()}@example.com` }),
    });
    expect(response.status).toBe(201);
    return response.json() as Promise<{ id: string }>;
  };

  it('publishes each new customer to the topic exchange, durable, with the routing key of the event', async () => {
    const connection = connect();
    const queue = `test-${crypto.randomUUID()}`;
    await connection.exchangeDeclare({ exchange: EXCHANGE, type: 'topic', durable: true });
    await connection.queueDeclare({ queue, exclusive: true });
    await connection.queueBind({ exchange: EXCHANGE, queue, routingKey: 'customer.create' });
    const crm = await startService('crm-api', { CRM_EVENTS_URL: brokerUrl() });
    const customer = await create(crm.url, 'Jane');
    const message = await get(connection, queue);
    expect(message).toMatchObject({
      durable: true,
      type: 'CREATE',
      contentType: 'application/json',
      messageId: message.body.event_id,
    });
    expect(message.body).toMatchObject({ event_type: 'CREATE', customer });
  });

  it('keeps what no queue takes, says so, and sends it when there is one', async () => {
    const connection = connect();
    await connection.queueDelete(QUEUE);
    const crm = await startService('crm-api', { CRM_EVENTS_URL: brokerUrl() });
    const customer = await create(crm.url, 'Jane');
    await crm.until(/do not reach RabbitMQ .*: no queue is bound to the exchange crm\.customers/);
    expect(await (await fetch(`${crm.url}/metrics`)).text()).toMatch(
      /^customer_events_waiting 1$/m,
    );
    const service = await startConsumer();
    await service.until(/Successfully created package request/);
    expect(service.asked).toEqual([customer.id]);
    await crm.until(/Customer events reach RabbitMQ .* again/);
  });

  it('creates customers while there is no broker', async () => {
    const crm = await startService('crm-api', { CRM_EVENTS_URL: 'amqp://a:b@127.0.0.1:1' });
    await create(crm.url, 'Jane');
    await crm.until(/No connection to RabbitMQ/);
    expect(await crm.stop()).toBe(0);
  });
});
