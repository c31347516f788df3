import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { fastify } from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAdminGuard } from './admin-guard.ts';

const TOKEN = 'correct horse battery';
const HOST = 'deliveries.example.com';

const ALLOWED = 'admin.example.com';

function setUp(token?: string) {
  const app = fastify();
  onTestFinished(() => app.close());
  const reached: string[] = [];
  const onRequest = createAdminGuard({ adminToken: token, host: HOST, allowedHosts: [ALLOWED] });
  for (const method of ['GET', 'POST'] as const) {
    app.route({ method, url: '/', onRequest, handler: async () => reached.push(method) });
  }
  /** The distinct statuses of both routes. Checks that the handlers run exactly when the status is 200. */
  const ask = async (headers: Record<string, string>) => {
    reached.length = 0;
    const answers = await Promise.all(
      (['GET', 'POST'] as const).map((method) =>
        app.inject({ method, url: '/', headers: { host: 'localhost:8002', ...headers } }),
      ),
    );
    const statuses = [...new Set(answers.map(({ statusCode }) => statusCode))];
    expect(reached.toSorted()).toEqual(statuses.includes(200) ? ['GET', 'POST'] : []);
    return statuses;
  };
  return { app, ask };
}

/** Sends these lines over a socket, for requests that `inject` cannot send; returns the status. */
async function askRaw(app: ReturnType<typeof setUp>['app'], lines: string[]) {
  await app.listen({ port: 0, host: '127.0.0.1' });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  socket.end(`${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(String(answer))?.[1]);
}

describe('without a token', () => {
  it.each([
    ...['localhost', 'LOCALHOST', '127.0.0.1', '[::1]', '192.168.1.20', '[fd00::1]', '0.0.0.0'],
    ...['integration-service', 'foo.localhost', HOST, HOST.toUpperCase()],
    ...[ALLOWED, ALLOWED.toUpperCase()],
  ])('everybody may come in who calls us by a name of our own: %s', async (name) => {
    const { ask } = setUp();
    expect(await ask({ host: name })).toEqual([200]);
    expect(await ask({ host: `${name}:8002` })).toEqual([200]);
  });

  it.each([
    ...['evil.com', 'evil.com:8002', '127.0.0.1.nip.io', '127.0.0.1.nip.io:8002'],
    ...['localhost.evil.com', 'evillocalhost.com', 'a.evillocalhost', '[::1].evil.com'],
    ...[`${HOST}.evil.com`, `x.${HOST}`, `x${HOST}`, 'example.com', 'evil%2ecom', 'evil。com'],
    ...['localhost, evil.com', 'local host', 'localhost:x', ':8002', '[::1', '[]', '%', '?', '/'],
    ...[`x.${ALLOWED}`, `${ALLOWED}.evil.com`, `x${ALLOWED}`],
    ...['localhost@evil.com', 'localhost:8002@evil.com', 'foo.localhost.evil.com', '..'],
  ])('nobody may who calls us by any other: %s', async (host) => {
    expect(await setUp().ask({ host })).toEqual([403]);
  });

  it.each([
    ['an empty Host', ['POST / HTTP/1.1', 'Host:', 'Content-Length: 0']],
    ['no Host', ['POST / HTTP/1.0']],
  ])('nobody may with %s', async (_, lines) => {
    const { app } = setUp();
    expect(await askRaw(app, lines)).toBe(403);
  });

  it.each([
    ['http://localhost:8002', 200],
    ['https://localhost:8002', 200],
    ['http://localhost', 403],
    ['http://localhost:8000', 403],
    ['http://127.0.0.1:8002', 403],
    ['http://foo.localhost:8002', 403],
    ['https://evil.com', 403],
    ['http://evil.com:8002', 403],
    ['null', 403],
    ['', 403],
    ['localhost:8002', 403],
    ['file://', 403],
  ])('a page may whose Origin is where it calls, and no other: %j', async (origin, status) => {
    expect(await setUp().ask({ origin })).toEqual([status]);
  });

  it('who calls by another name is told what to do', async () => {
    const { app } = setUp();
    const { json } = await app.inject({ url: '/', headers: { host: 'deliveries.test' } });
    expect(json().detail).toMatch(/ALLOWED_HOSTS, or set an ADMIN_TOKEN\.$/);
  });

  it('a page may whose Origin leaves out the port that goes without saying', async () => {
    expect(await setUp().ask({ origin: `http://${HOST}`, host: HOST })).toEqual([200]);
  });

  it.each([
    ['same-origin', 200],
    ['none', 200],
    ['same-site', 403],
    ['cross-site', 403],
    ['', 403],
    ['same-origin, cross-site', 403],
  ])(
    'a request may that a browser calls same-origin, or a person made: %j',
    async (site, status) => {
      const { ask } = setUp();
      expect(await ask({ 'sec-fetch-site': site })).toEqual([status]);
      expect(await ask({ 'sec-fetch-site': site, origin: 'http://evil.com' })).toEqual([403]);
    },
  );
});

describe('with a token', () => {
  it.each([
    ['it', `Bearer ${TOKEN}`, 200],
    ['it, in another case', `bearer ${TOKEN}`, 200],
    ['it, after two blanks', `BEARER  ${TOKEN}`, 200],
    ['another', 'Bearer correct horse staples', 401],
    ['it in upper case', `Bearer ${TOKEN.toUpperCase()}`, 401],
    ['its begin', `Bearer ${TOKEN.slice(0, -1)}`, 401],
    ['its end', `Bearer ${TOKEN.slice(1)}`, 401],
    ['more than it', `Bearer ${TOKEN}y`, 401],
    ['it twice', `Bearer ${TOKEN} ${TOKEN}`, 401],
    ['an empty one', 'Bearer ', 401],
    ['only the scheme', 'Bearer', 401],
    ['an empty header', '', 401],
    ['no scheme', TOKEN, 401],
    ['another scheme', `Basic ${TOKEN}`, 401],
    ['Basic credentials', `Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`, 401],
    ['a scheme before the scheme', `Basic Bearer ${TOKEN}`, 401],
    ['no blank', `Bearer${TOKEN}`, 401],
  ])('who brings %s', async (_, authorization, status) => {
    expect(await setUp(TOKEN).ask({ authorization })).toEqual([status]);
  });

  it('who brings none is told how', async () => {
    const { app } = setUp(TOKEN);
    const { statusCode, headers, json } = await app.inject('/');
    expect([statusCode, headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect(json()).toEqual({ detail: 'Send the ADMIN_TOKEN as a bearer token.' });
  });

  it.each([
    ['a name with a dot', { host: 'deliveries.of-a-gateway.example' }],
    ['a proxy that brings its own Host', { origin: 'https://deliveries.example' }],
    ['a browser that tells of another site', { 'sec-fetch-site': 'cross-site' }],
  ])('it is the protection, also by %s', async (_, headers) => {
    const { ask } = setUp(TOKEN);
    expect(await ask({ ...headers, authorization: `Bearer ${TOKEN}` })).toEqual([200]);
    expect(await ask({ ...headers, authorization: 'Bearer of another' })).toEqual([401]);
    expect(await ask(headers)).toEqual([401]);
  });

  it('a page of another site is not allowed to send it', async () => {
    const { app } = setUp(TOKEN);
    const { statusCode, headers } = await app.inject({
      method: 'OPTIONS',
      url: '/',
      headers: {
        origin: 'https://evil.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    });
    expect(statusCode).toBeGreaterThanOrEqual(400);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});
