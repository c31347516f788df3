import { Validator } from '@seriousme/openapi-schema-validator';
import { pino } from 'pino';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../src/app.ts';
import { parseConfig } from '../src/config.ts';
import { type CustomerEvent, customerEventSchema } from '../src/customer-event.ts';

async function setUp() {
  const events: CustomerEvent[] = [];
  const app = await buildApp({
    log: pino({ level: 'silent' }),
    serializerCompiler: strictSerializerCompiler,
    onEvent: (event) => events.push(event),
  });
  onTestFinished(() => app.close());
  const create = (name: string, email: string) =>
    app.inject({ method: 'POST', url: '/customers', payload: { name, email } });
  return { app, events, create };
}

it('a customer who is created is an event, in the fields and the order that are documented', async () => {
  const { events, create } = await setUp();
  const customer = (await create('Jane "🎁"\n', 'jane@example.com')).json();
  const [event, ...more] = events;
  expect(more).toEqual([]);
  expect(event).toMatchObject({ type: 'CREATE', customerId: customer.id });
  expect(JSON.parse(event?.json ?? '')).toEqual({
    event_id: event?.id,
    event_type: 'CREATE',
    occurred_at: customer.created_at,
    customer: { ...customer, version: 1, phone: null, address: null },
  });
  const parsed = customerEventSchema.parse(JSON.parse(event?.json ?? ''));
  expect(JSON.stringify(parsed)).toBe(event?.json);
});

it('each event has an id of its own, and a customer who is refused is none', async () => {
  const { events, create } = await setUp();
  await create('Jane', 'jane@example.com');
  await create('Bob', 'bob@example.com');
  expect((await create('Jane', 'jane@example.com')).statusCode).toBe(409);
  expect((await create('Jane', 'no address')).statusCode).toBe(422);
  expect(new Set(events.map(({ id }) => id)).size).toBe(2);
});

it('the webhook is documented, by the rules of OpenAPI 3.1', async () => {
  const { app } = await setUp();
  const document = (await app.inject({ url: '/openapi.json' })).json();
  expect(await new Validator().validate(document)).toMatchObject({ valid: true });
  const { post } = document.webhooks.customerEvent;
  expect(post.parameters.map(({ name }: { name: string }) => name)).toEqual([
    'webhook-id',
    'webhook-timestamp',
    'webhook-signature',
  ]);
  expect(post.requestBody.content['application/json'].schema).toEqual({
    $ref: '#/components/schemas/CustomerEvent',
  });
  const { properties, required } = document.components.schemas.CustomerEvent;
  expect(Object.keys(properties)).toEqual(required);
  expect(properties.event_type.enum).toEqual(['CREATE', 'UPDATE', 'DELETE']);
});

it('CRM_EVENTS_URL tells where events go, and a webhook needs a WEBHOOK_SECRET', () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const eventsOf = (CRM_EVENTS_URL: string, WEBHOOK_SECRET = '') =>
    parseConfig({ CRM_EVENTS_URL, WEBHOOK_SECRET }).CRM_EVENTS_URL;
  expect(eventsOf('')).toBeUndefined();
  expect(eventsOf('', secret)).toBeUndefined();
  expect(eventsOf('https://x.org/hook', secret)?.href).toBe('https://x.org/hook');
  for (const url of ['amqp://a:b@x', 'amqps://a:b@x:5671/vhost', 'amqp://x/']) {
    expect(eventsOf(url)?.href).toBe(url);
  }
  expect(() => eventsOf('http://x.org')).toThrow('WEBHOOK_SECRET must be set');
  expect(() => eventsOf('http://x.org', 'short')).toThrow('WEBHOOK_SECRET must be one secret');
  for (const url of ['amqp://x/%zz', 'amqp://x/a/b', 'amqp://x/?heartbeat=0']) {
    expect(() => eventsOf(url)).toThrow('nothing after its host but the name of a virtual host');
  }
  expect(() => eventsOf('amqp://u:%zz@x')).toThrow('must have each % of its user name');
  for (const url of ['ftp://x', 'x', 'amqp:', 'amqp://']) {
    expect(() => eventsOf(url)).toThrow(
      /^CRM_EVENTS_URL must be an http:\/\/, https:\/\/, amqp:\/\/ or amqps:\/\/ URL$/,
    );
  }
});
