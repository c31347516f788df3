import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { webhookSecretsSchema } from 'service-kit/webhook-signature';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CustomerEvent } from '../src/customer-event.ts';
import { createWebhookPublisher } from '../src/events/webhook-publisher.ts';

const SECRETS = [
  'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
];
const event: CustomerEvent = {
  id: '9b2d7c1e-5f4a-4c3b-8d6e-7f8091a2b3c4',
  type: 'CREATE',
  customerId: 'a',
  json: '{"event_type":"CREATE","customer":{"id":"ü"}}',
};

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A subscriber on loopback, and a publisher that knows its URL. */
async function setUp(handler: Handler, { user = '', timeoutMs = 5_000 } = {}) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const publisher = createWebhookPublisher({
    url: new URL(`http://${user}127.0.0.1:${port}/hooks?a=1`),
    secrets: webhookSecretsSchema.parse(SECRETS.join(' ')),
    now: Date.now,
    timeoutMs,
  });
  onTestFinished(async () => {
    await publisher.close();
    server.closeAllConnections();
    server.close();
  });
  return { publisher, server, port };
}

describe('a webhook', () => {
  it('is what any receiver of Standard Webhooks takes, whichever of two secrets it has', async () => {
    const received: { request: IncomingMessage; body: string }[] = [];
    const { publisher, port } = await setUp(
      async (request, response) => {
        received.push({ request, body: String(await buffer(request)) });
        response.writeHead(204).end();
      },
      { user: 'jane:p%40ss@' },
    );
    expect(publisher.target).toBe(`http://127.0.0.1:${port}`);
    expect(await publisher.publish(event)).toEqual({ kind: 'sent' });
    const [{ request, body } = expect.fail()] = received;
    expect(`${request.method} ${request.url}`).toBe('POST /hooks?a=1');
    expect(request.headers).toMatchObject({
      'user-agent': 'mini-integration-platform/1.0.0',
      'content-type': 'application/json',
      'webhook-id': event.id,
      authorization: `Basic ${btoa('jane:p@ss')}`,
    });
    for (const secret of SECRETS) {
      const headers = request.headers as Record<string, string>;
      expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(event.json));
    }
  });

  it.each([
    [200, 'sent'],
    [202, 'sent'],
    [400, 'refused'],
    [409, 'refused'],
    [413, 'refused'],
    [422, 'refused'],
    [302, 'unavailable'],
    [401, 'unavailable'],
    [404, 'unavailable'],
    [429, 'unavailable'],
    [500, 'unavailable'],
    [502, 'unavailable'],
    [503, 'unavailable'],
    [410, 'gone'],
  ])('that is answered with %d is %s', async (status, kind) => {
    const { publisher } = await setUp((_request, response) => {
      response
        .writeHead(status, { 'retry-after': '7', location: '/elsewhere' })
        .end('what it says');
    });
    const result = await publisher.publish(event);
    expect(result.kind).toBe(kind);
    if (result.kind !== 'sent') expect(result.reason).toMatch(new RegExp(`^${status} [A-Z]`));
    if ('retryAfterMs' in result) expect(result.retryAfterMs).toBe(7_000);
  });

  it('that is not answered in time may come again', async () => {
    const { publisher } = await setUp(() => {}, { timeoutMs: 50 });
    expect(await publisher.publish(event)).toEqual({
      kind: 'unavailable',
      reason: 'no answer within 0.05 s',
    });
  });

  it('whose answer has begun well and never ends is taken, and not waited for', async () => {
    const { publisher } = await setUp(
      (_request, response) => {
        response.writeHead(200).write('a');
      },
      // Long enough for the answer to begin on a slow machine.
      { timeoutMs: 3_000 },
    );
    expect(await publisher.publish(event)).toEqual({ kind: 'sent' });
  });

  it.each([
    ['comes after a 100 that nobody asked for', 'HTTP/1.1 100 Continue\r\n\r\n', ''],
    ['breaks off', '', 'content-length: 100\r\n'],
    ['is no chunk where it should be', '', 'transfer-encoding: chunked\r\n'],
  ])('is taken when it was answered, and the answer %s', async (_, before, header) => {
    const { publisher } = await setUp(({ socket }) => {
      socket.end(`${before}HTTP/1.1 200 OK\r\n${header}\r\n?`);
    });
    expect(await publisher.publish(event)).toEqual({ kind: 'sent' });
  });

  it('that finds nobody, or is cut off, may come again', async () => {
    const { publisher, server } = await setUp((request) => request.socket.resetAndDestroy());
    expect((await publisher.publish(event)).kind).toBe('unavailable');
    server.close();
    expect(await publisher.publish(event)).toMatchObject({
      kind: 'unavailable',
      reason: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('under way is given up when it is closed', async () => {
    const asked = Promise.withResolvers<void>();
    const { publisher } = await setUp(() => asked.resolve());
    const result = publisher.publish(event);
    await asked.promise;
    await publisher.close();
    expect((await result).kind).toBe('unavailable');
  });
});
