import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../src/app.ts';
import { LedgerError } from '../src/delivery/ledger/ledger-error.ts';
import { LEDGER_KINDS, newLocation } from './ledgers.ts';
import { ALICE, BOB, captureLog, setUpService } from './support.ts';
import { eventOf, OLD_SECRET, SECRET, setUpWebhooks } from './webhooks.ts';

describe.each(LEDGER_KINDS)('a webhook, with a ledger in %s', (kind) => {
  it('is taken when its customer is in the ledger, and has no effect when it comes again', async () => {
    const location = await newLocation(kind);
    const { send, keysOf, received, ledger } = await setUpWebhooks({ ledger: location });
    const response = await send(eventOf(ALICE));
    expect([response.statusCode, response.body]).toEqual([202, '']);
    expect(await keysOf('pending')).toEqual([ALICE.id]);
    expect((await send(eventOf(ALICE))).statusCode).toBe(202);
    expect((await send(eventOf(ALICE), { id: 'msg_2' })).statusCode).toBe(202);
    expect(await keysOf('pending')).toEqual([ALICE.id]);
    expect(await Promise.all(['new', 'known'].map(received))).toEqual([1, 2]);
    // The customer counts, not the id of the webhook.
    expect((await send(eventOf(BOB))).statusCode).toBe(202);
    expect(await keysOf('pending')).toEqual([ALICE.id, BOB.id]);
    await ledger.close();

    const restarted = await setUpWebhooks({ ledger: location });
    expect((await restarted.send(eventOf(ALICE))).statusCode).toBe(202);
    expect(await restarted.keysOf('pending')).toEqual([ALICE.id, BOB.id]);
    expect(await restarted.received('known')).toBe(1);
  });
});

describe('a webhook', () => {
  it('may be signed with either of two secrets while one takes the place of the other', async () => {
    const { send } = await setUpWebhooks({ secrets: `${SECRET} ${OLD_SECRET}` });
    expect((await send(eventOf(ALICE), { id: 'a', secret: OLD_SECRET })).statusCode).toBe(202);
    expect((await send(eventOf(ALICE), { id: 'b', secret: SECRET })).statusCode).toBe(202);
  });

  it.each(['UPDATE', 'DELETE'])('of type %s is taken, and changes nothing', async (type) => {
    const { send, keysOf, received } = await setUpWebhooks();
    expect((await send(eventOf(ALICE, type))).statusCode).toBe(202);
    expect(await keysOf('pending')).toEqual([]);
    expect(await received('ignored')).toBe(1);
  });

  it.each([
    ['no type of content', undefined],
    ['text', 'text/plain'],
    ['a form', 'application/x-www-form-urlencoded'],
    ['what is nonsense', ';;'],
  ])('may be said to be %s', async (_, type) => {
    const { post, sign } = await setUpWebhooks();
    const body = eventOf(ALICE);
    const headers = { ...sign(body), ...(type && { 'content-type': type }) };
    expect((await post(headers, body)).statusCode).toBe(202);
  });

  it.each([
    ['', 'it is not JSON'],
    ['{"event_type":', 'it is not JSON'],
    ['[]', 'it is no object'],
    ['{"customer":{"id":"a"}}', 'its event_type is none of CREATE, UPDATE and DELETE'],
    [eventOf({ id: 7 }), 'its customer cannot be used: its id is not a string'],
  ])('that is signed but no event is a 400: %s', async (body, reason) => {
    const { send, received } = await setUpWebhooks();
    const response = await send(body);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toEqual({ detail: `The event cannot be used: ${reason}` });
    expect(await received('invalid')).toBe(1);
  });

  it('that is not signed is a 401 whatever it says, and the log tells why, but no secret', async () => {
    const { post, sign, messages, keysOf } = await setUpWebhooks();
    const body = eventOf(ALICE);
    const old = sign(body, { at: Date.now() - 302_000 });
    const foreign = sign(body, { secret: OLD_SECRET });
    for (const [headers, payload] of [
      [{}, body],
      [{}, '{'],
      [old, body],
      [foreign, body],
      [sign(body), `${body} `],
    ] as const) {
      const response = await post(headers, payload);
      expect(response.statusCode).toBe(401);
      expect(Object.keys(response.json())).toEqual(['detail']);
    }
    expect(await keysOf('pending')).toEqual([]);
    expect(messages().filter((each) => each.startsWith('Refused a webhook: '))).toHaveLength(5);
    expect(messages().join()).toMatch(/30\d s in the past, by our clock/);
    expect(messages().join()).not.toContain(SECRET.slice(6));
  });

  it('of more than 1 MiB is a 413', async () => {
    const { send, keysOf } = await setUpWebhooks();
    const body = eventOf({ ...ALICE, name: 'x'.repeat(1024 * 1024) });
    expect((await send(body)).statusCode).toBe(413);
    expect(await keysOf('pending')).toEqual([]);
  });

  it('that cannot be committed is a 503 with Retry-After, and is taken later', async () => {
    const fault = new LedgerError('full', 'The disk is full.');
    const { send } = await setUpWebhooks({ failure: fault });
    const response = await send(eventOf(ALICE));
    expect([response.statusCode, response.json()]).toEqual([503, { detail: 'The disk is full.' }]);
    expect(response.headers['retry-after']).toBe('5');
  });

  it('is a 503, not lost, when the service is stopping', async () => {
    const { send, open, keysOf } = await setUpWebhooks();
    await open.stop();
    const response = await send(eventOf(ALICE));
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '5']);
    expect(await keysOf('pending')).toEqual([]);
  });

  it('is documented with its headers, by the rules of OpenAPI 3.1', async () => {
    const { app } = await setUpWebhooks();
    const document = (await app.inject({ url: '/openapi.json' })).json();
    expect(await new Validator().validate(document)).toMatchObject({ valid: true });
    const { parameters, requestBody, responses } = document.paths['/webhooks/customers'].post;
    expect(
      parameters.map(({ name, in: place }: Record<string, string>) => `${place} ${name}`),
    ).toEqual(['header webhook-id', 'header webhook-timestamp', 'header webhook-signature']);
    expect(requestBody.content['application/json'].schema).toEqual({
      $ref: '#/components/schemas/CustomerEvent',
    });
    expect(Object.keys(responses)).toEqual([
      ...['202', '400', '401', '408', '413', '431', '500', '503'],
    ]);
    expect(Object.keys(responses[503].headers)).toEqual(['Retry-After']);
  });

  it('finds no route where there is no secret', async () => {
    const { ledger } = await setUpService();
    const { log } = captureLog();
    const app = await buildApp({
      ...{ log, host: '127.0.0.1', ledger, flows: [], now: Date.now },
    });
    onTestFinished(() => app.close());
    const response = await app.inject({ method: 'POST', url: '/webhooks/customers' });
    expect(response.statusCode).toBe(404);
  });
});

it('holds what webhooks bring beyond SURGE_LIMIT in the time of a poll', async () => {
  const { send, keysOf, received } = await setUpWebhooks({ surgeLimit: 2 });
  for (const id of ['a', 'b', 'c', 'd', 'a']) await send(eventOf({ id }), { id: `msg_${id}` });
  expect(await keysOf('pending')).toEqual(['a', 'b']);
  expect(await keysOf('held')).toEqual(['c', 'd']);
  expect([await received('new'), await received('held')]).toEqual([2, 2]);
});

it('holds what comes after a surge, too', async () => {
  const { send, keysOf } = await setUpWebhooks({ surgeLimit: 3 });
  const take = (...ids: string[]) => Promise.all(ids.map((id) => send(eventOf({ id }), { id })));
  await take('a');
  await take('first of many', 'b', 'c', 'd');
  await take('e');
  // The first is committed alone, the others together after that.
  expect(await keysOf('pending')).toEqual(['a', 'first of many']);
  expect(await keysOf('held')).toEqual(['b', 'c', 'd', 'e']);
});

it('commits what comes at once together, and tells each of its own fate', async () => {
  const { post, sign, keysOf } = await setUpWebhooks();
  const ids = Array.from({ length: 1_200 }, (_, i) => `customer-${i}`);
  const responses = await Promise.all(
    ids.map((id) => {
      const body = eventOf({ id });
      return post(sign(body, { id }), body);
    }),
  );
  expect(responses.every(({ statusCode }) => statusCode === 202)).toBe(true);
  expect((await keysOf('pending')).sort()).toEqual(ids.sort());
});
