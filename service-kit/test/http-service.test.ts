import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { z } from 'zod';
import { answer } from '../src/answers.ts';
import { HttpError } from '../src/errors.ts';
import { createHttpService, type HttpServiceOptions } from '../src/http-service.ts';
import { createMetrics } from '../src/operations.ts';

async function setUp(options: Pick<HttpServiceOptions, 'handlerTimeoutMs' | 'metrics'> = {}) {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(line) });
  const app = await createHttpService({ ...options, title: 'Test', description: 'A test.', log });
  onTestFinished(() => app.close());
  return { app, lines };
}

describe('a failure', () => {
  it('is a 500 that says nothing more, with the cause in the log', async () => {
    const { app, lines } = await setUp();
    app.get('/broken', () => {
      throw new Error('secret detail');
    });
    const response = await app.inject({ url: '/broken?x=1' });
    expect(response.statusCode).toBe(500);
    expect(response.json()).toEqual({ detail: 'Internal Server Error' });
    const line = JSON.parse(lines.find((each) => each.includes('secret detail')) as string);
    expect(line).toMatchObject({
      level: 50,
      url: '/broken?x=1',
      err: { message: 'secret detail' },
    });
  });

  it('is a 500 when what a handler returns does not fit its schema', async () => {
    const { app } = await setUp();
    const schema = z.object({ id: z.string() });
    const broken = { schema: { response: { 200: answer('An id.', schema) } } };
    app.get('/broken', broken, async () => ({ secret: 'x' }) as never);
    const response = await app.inject({ url: '/broken' });
    expect(response.statusCode).toBe(500);
    expect(response.json()).toEqual({ detail: 'Internal Server Error' });
  });

  it.each([404, 429, 503])('that a handler names is answered as it says: %i', async (status) => {
    const { app } = await setUp();
    app.get('/named', () => {
      throw new HttpError(status, 'This is why.');
    });
    const response = await app.inject({ url: '/named' });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toEqual({ detail: 'This is why.' });
  });
});

describe('a response', () => {
  it('holds the declared fields only, in their order', async () => {
    const { app } = await setUp();
    const schema = z.object({ b: z.string(), a: z.number() });
    app.get('/declared', { schema: { response: { 200: answer('Both.', schema) } } }, async () => ({
      secret: 'x',
      a: 1,
      b: 'é',
    }));
    expect((await app.inject({ url: '/declared' })).body).toBe('{"b":"é","a":1}');
  });

  it('has security headers that leave a browser nothing to do with it', async () => {
    const { app } = await setUp();
    for (const url of ['/', '/nowhere', '/openapi.json']) {
      expect((await app.inject({ url })).headers).toMatchObject({
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'cross-origin-resource-policy': 'same-origin',
        'x-content-type-options': 'nosniff',
      });
    }
  });

  it('has security headers that let Swagger UI load over plain HTTP', async () => {
    const { headers } = await (await setUp()).app.inject({ url: '/docs' });
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['content-security-policy']).toContain("script-src 'self'");
    expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    expect(headers['strict-transport-security']).toBeUndefined();
  });
});

describe('metrics', () => {
  it('measure requests by route, and those to nowhere together', async () => {
    const { app } = await setUp();
    await app.inject({ url: '/healthz?x=1' });
    await app.inject({ url: '/nope/1' });
    await app.inject({ method: 'POST', url: '/nope/2' });
    const { body, headers } = await app.inject({ url: '/metrics' });
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(body).toContain(
      'http_request_duration_seconds_count{method="GET",route="/healthz",status_code="200"} 1',
    );
    expect(body).toContain(
      'http_request_duration_seconds_count{method="GET",route="unmatched",status_code="404"} 1',
    );
    expect(body).not.toContain('/nope');
    expect(body).toContain('process_resident_memory_bytes');
  });

  it('are made at most once a second, however many ask', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const metrics = createMetrics();
    const make = vi.spyOn(metrics, 'metrics');
    const { app } = await setUp({ metrics });
    const ask = () => Promise.all(Array.from({ length: 50 }, () => app.inject('/metrics')));
    const answers = [...(await ask()), ...(await ask())];
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(make).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1_000);
    await ask();
    expect(make).toHaveBeenCalledTimes(2);
  });

  it('are made anew when they could not be made', async () => {
    const metrics = createMetrics();
    vi.spyOn(metrics, 'metrics').mockRejectedValueOnce(new Error('no ledger'));
    const { app } = await setUp({ metrics });
    expect((await app.inject('/metrics')).statusCode).toBe(500);
    expect((await app.inject('/metrics')).statusCode).toBe(200);
  });

  it('hold both names of a service apart from those of another in the same process', async () => {
    const [one, other] = [await setUp(), await setUp()];
    await one.app.inject({ url: '/healthz' });
    expect((await other.app.inject({ url: '/metrics' })).body).not.toContain('/healthz');
  });
});

describe('the log', () => {
  it('has a line a request at debug level, and none above', async () => {
    const { app, lines } = await setUp();
    await app.inject({ url: '/healthz' });
    await app.inject({ url: '/nope' });
    const logged = lines.map((line) => JSON.parse(line));
    expect(logged).toMatchObject([
      { level: 20, method: 'GET', url: '/healthz', statusCode: 200 },
      { level: 20, method: 'GET', url: '/nope', statusCode: 404 },
    ]);
  });
});

describe('a connection', () => {
  it('is closed after its answer when the service drains', async () => {
    const { app } = await setUp();
    const entered = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const closing = Promise.withResolvers<void>();
    app.addHook('preClose', async () => closing.resolve());
    app.get('/slow', async () => {
      entered.resolve();
      await answered.promise;
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const response = fetch(`${url}/slow`);
    await entered.promise;
    const closed = app.close();
    await closing.promise;
    answered.resolve();
    expect((await response).headers.get('connection')).toBe('close');
    await closed;
  });

  async function send(bytes: string): Promise<string> {
    const { app } = await setUp();
    await app.listen({ host: '127.0.0.1', port: 0 });
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(bytes);
    return text(socket);
  }

  it.each([
    ['no HTTP', 'nonsense\r\n\r\n', 400, 'Bad Request'],
    [
      'headers too large',
      `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
      431,
      'Request Header Fields Too Large',
    ],
  ])('is answered and closed when it brings %s', async (_, bytes, status, detail) => {
    const response = await send(bytes);
    expect(response).toMatch(new RegExp(`^HTTP/1.1 ${status} ${detail}\r\n`));
    expect(response.split('\r\n\r\n')[1]).toBe(JSON.stringify({ detail }));
  });

  it('may not take for ever to bring its request', async () => {
    const { app } = await setUp();
    expect(app.server.headersTimeout).toBe(10_000);
    expect(app.server.requestTimeout).toBe(10_000);
    expect(app.server.keepAliveTimeout).toBe(10_000);
  });

  it('is answered with 503 when its handler does not end, if there is a time for it', async () => {
    const { app } = await setUp({ handlerTimeoutMs: 1 });
    app.get('/never', () => new Promise(() => {}));
    const response = await app.inject({ url: '/never' });
    expect(response.statusCode).toBe(503);
    expect(response.json()).toEqual({ detail: expect.any(String) });
  });
});

describe('a route', () => {
  it('may have a time for its handler that the other routes do not have', async () => {
    const { app } = await setUp();
    app.get('/never', { handlerTimeout: 1 }, () => new Promise(() => {}));
    expect((await app.inject({ url: '/never' })).statusCode).toBe(503);
  });

  it('that is a page may have a policy of its own', async () => {
    const { app } = await setUp();
    const contentSecurityPolicy = "default-src 'self'";
    app.get('/page', { config: { contentSecurityPolicy } }, async () => '<p>');
    const policyOf = async (url: string) =>
      (await app.inject({ url })).headers['content-security-policy'];
    expect(await policyOf('/page')).toBe(contentSecurityPolicy);
    for (const url of ['/healthz', '/nowhere']) expect(await policyOf(url)).toMatch(/'none'/);
  });
});
