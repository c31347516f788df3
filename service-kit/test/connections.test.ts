import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createHttpService, type HttpServiceOptions } from '../src/http-service.ts';
import { createLogger } from '../src/logger.ts';
import { listen, sendBytes } from './connection-contract.ts';

const HOST = 'host: x\r\n';
/** Node reads about 160 of these at once. */
const getWithLongHead = (path: string) =>
  `GET ${path} HTTP/1.1\r\n${HOST}x: ${'y'.repeat(350)}\r\n\r\n`;
const get = (path: string) => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
/** Longer than the buffers between two sockets. */
const LONG = 'x'.repeat(30_000_000);
const NEVER_MS = 60_000;
const SHORT_ARRIVAL = { arrivalMs: 50, stalledMs: NEVER_MS, lingerMs: 20 };
/** Short, but long enough for what is to arrive and to be read on a machine that is busy. */
const ENOUGH = { arrivalMs: 1_000, stalledMs: NEVER_MS, lingerMs: 5_000 };
const SHORT_STALL = { arrivalMs: NEVER_MS, stalledMs: 50, lingerMs: 20 };

async function setUp(connectionLimits: HttpServiceOptions['connectionLimits'] = {}) {
  const log = createLogger({ name: 'test', level: 'silent' });
  const app = await createHttpService({ title: 'T', description: 'T.', log, connectionLimits });
  const called: string[] = [];
  const released = Promise.withResolvers<void>();
  app.addHook('onRequest', async ({ url }) => {
    called.push(url);
  });
  app.get('/quick', async ({ url }) => ({ url }));
  app.get('/long', async () => LONG);
  app.get('/held', async () => {
    await released.promise;
    return {};
  });
  app.post('/taken', async () => ({}));
  const port = await listen(app);
  /** Opens a connection whose client sends these bytes and nothing more by itself. */
  const open = async (bytes: string, { reads = true } = {}) => {
    const arrived = once(app.server, 'connection');
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    onTestFinished(() => {
      client.destroy();
    });
    // A service that cuts off a client may reset its connection.
    client.on('error', () => {});
    if (!reads) client.pause();
    client.write(bytes);
    const [socket] = (await arrived) as [Socket];
    return { client, socket };
  };
  return { app, port, called, open, release: released.resolve };
}

const statuses = (received: string) =>
  [...received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));

describe('a connection that brings many requests at once', () => {
  it('is read no further while one is not answered, and gets all answers in order', async () => {
    const { called, open, release } = await setUp();
    const count = 500;
    const paths = Array.from({ length: count }, (_, i) => `/quick?${i}`);
    const { client, socket } = await open(['/held', ...paths].map(getWithLongHead).join(''));
    if (!socket.isPaused()) await once(socket, 'pause');
    expect(called).toEqual(['/held']);
    release();
    client.end();
    const answers = [...(await text(client)).matchAll(/"url":"([^"]+)"/g)];
    expect(answers.map(([, url]) => url)).toEqual(paths);
  });

  it('has its turn after others', async () => {
    const { called, open, port } = await setUp();
    const { client } = await open('');
    client.write(get('/quick?many').repeat(1_000));
    await once(client, 'data');
    await sendBytes(port, get('/quick?one'));
    expect(called.indexOf('/quick?one')).toBeLessThan(1_000);
  });

  it('is closed when too many wait in all, and the others get their answers', async () => {
    const { open, release } = await setUp({ maxWaiting: 10 });
    const kept = await open(get('/held').repeat(10));
    const closed = await open(get('/held').repeat(3));
    if (!closed.socket.closed) await once(closed.socket, 'close');
    expect(kept.socket.destroyed).toBe(false);
    release();
    kept.client.end();
    expect(statuses(await text(kept.client))).toEqual(Array(10).fill(200));
    const later = await open(get('/quick').repeat(11));
    later.client.end();
    expect(statuses(await text(later.client))).toEqual(Array(11).fill(200));
  });

  it('is closed at once when there are too many', async () => {
    const { app, open, port } = await setUp({ maxConnections: 1 });
    await open('');
    const dropped = once(app.server, 'drop');
    expect(await sendBytes(port, get('/quick')).catch(() => '')).toBe('');
    await dropped;
  });

  it('is not late with a request that nobody read', async () => {
    const { app, called, open, release } = await setUp(ENOUGH);
    const { client } = await open(`${getWithLongHead('/held').repeat(500)}GET /quick HT`);
    await once(app.server, 'clientError');
    release();
    const received = text(client);
    client.end(`TP/1.1\r\n${HOST}\r\n`);
    expect(statuses(await received)).toEqual(Array(501).fill(200));
    expect(called.at(-1)).toBe('/quick');
  });

  it('is late with a request that does not go on when it is read again', async () => {
    const { app, open, release } = await setUp(ENOUGH);
    const { client } = await open(`${getWithLongHead('/held').repeat(500)}GET /quick HT`);
    await once(app.server, 'clientError');
    release();
    expect(statuses(await text(client))).toEqual([...Array(500).fill(200), 408]);
  });

  it('gets all answers when the service stops meanwhile', async () => {
    const { app, open, release } = await setUp();
    const { client, socket } = await open(get('/held').repeat(3));
    if (!socket.isPaused()) await once(socket, 'pause');
    const stopping = Promise.withResolvers<void>();
    app.server.once('close', stopping.resolve);
    const closed = app.close();
    setImmediate(release);
    const received = await text(client);
    expect(statuses(received)).toEqual([200, 200, 200]);
    expect(received.match(/connection: close/g)).toHaveLength(1);
    await closed;
  });
});

describe('a connection is given back, whatever its client does,', () => {
  const post = `POST /taken HTTP/1.1\r\n${HOST}`;
  it.each([
    ['sends nothing', ''],
    ['sends half a head', 'GET /quick HT'],
    ['sends half a body', `${post}content-length: 9\r\n\r\n{`],
    ['waits for its next request', get('/quick')],
    ['sends no HTTP', 'nonsense\r\n\r\n'],
    ['sends another version of HTTP', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['sends a head that is too large', `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`],
    ['sends a body that is too large', `${post}content-length: 3000000\r\n\r\n{`],
    ['sends a body that is no HTTP', `${post}transfer-encoding: chunked\r\n\r\nzz\r\n`],
    ['speaks HTTP/1.0', 'GET /quick HTTP/1.0\r\n\r\n'],
    [
      'asks for another protocol',
      `${get('/quick').slice(0, -2)}upgrade: x\r\nconnection: upgrade\r\n\r\n`,
    ],
    ['asks for a tunnel', `CONNECT x:1 HTTP/1.1\r\n${HOST}\r\n`],
    ['waits to be told to go on', `${post}expect: 100-continue\r\ncontent-length: 9\r\n\r\n`],
    ['expects what nobody knows', `${post}expect: x\r\ncontent-length: 9\r\n\r\n`],
  ])('when it %s', async (_, bytes) => {
    const { open } = await setUp(SHORT_ARRIVAL);
    const { socket } = await open(bytes, { reads: false });
    if (!socket.closed) await once(socket, 'close');
    expect(socket.destroyed).toBe(true);
  });

  it.each([
    ['takes nothing of its answer', get('/long')],
    ['takes nothing of its last answer', 'GET /long HTTP/1.0\r\n\r\n'],
    ['takes nothing of its answer, and sends on', get('/long') + get('/quick').repeat(5_000)],
    ['takes nothing of its answer, and sends no HTTP', `${get('/long')}nonsense\r\n\r\n`],
    ['takes nothing of its answer, and sends half a head', `${get('/long')}GET`],
  ])('when it %s', async (_, bytes) => {
    const { open } = await setUp(SHORT_STALL);
    const { socket } = await open(bytes, { reads: false });
    if (!socket.closed) await once(socket, 'close');
    expect(socket.destroyed).toBe(true);
  });

  it('when it says that it sends no more, and takes nothing of its answer', async () => {
    const { open } = await setUp(SHORT_STALL);
    const { client, socket } = await open(get('/long'), { reads: false });
    client.end();
    if (!socket.closed) await once(socket, 'close');
    expect(socket.destroyed).toBe(true);
  });
});

describe('a connection that is given up', () => {
  it('gets the answers that are due before it is told why', async () => {
    const { port } = await setUp();
    const received = await sendBytes(port, `${get('/long')}${get('/quick')}nonsense\r\n\r\n`);
    expect(statuses(received)).toEqual([200, 200, 400]);
    expect(received).toContain(`\r\n\r\n${LONG}HTTP/1.1 200 `);
    expect(received).toMatch(/\r\n\r\n\{"detail":"Bad Request"\}$/);
  });

  it('is told nothing more when the request that failed has its answer', async () => {
    const { open } = await setUp(ENOUGH);
    const post = `POST /taken HTTP/1.1\r\n${HOST}content-length: 3000000\r\n\r\n{`;
    const { client } = await open(post);
    expect(statuses(await text(client))).toEqual([413]);
  });

  it('does not have the request carried out that came too late', async () => {
    const { called, open } = await setUp(ENOUGH);
    const { client, socket } = await open('GET /quick HT');
    const received = text(client);
    await once(client, 'end');
    client.write(`TP/1.1\r\n${HOST}\r\n`);
    if (!socket.closed) await once(socket, 'close');
    expect(statuses(await received)).toEqual([408]);
    expect(called).toEqual([]);
  });
});
