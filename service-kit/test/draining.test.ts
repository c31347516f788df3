import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { fastify } from 'fastify';
import { expect, it, onTestFinished } from 'vitest';
import { drainOnClose } from '../src/draining.ts';

/** Longer than the buffers between two sockets. */
const LONG = 'x'.repeat(30_000_000);

async function setUp({ graceMs }: { graceMs?: number } = {}) {
  const app = fastify({ return503OnClosing: false });
  drainOnClose(app, graceMs);
  const entered = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<string>();
  app.get('/quick', () => 'quick');
  app.get('/long', () => LONG);
  app.get('/slow', () => {
    entered.resolve();
    return answered.promise;
  });
  const closing = Promise.withResolvers<void>();
  app.addHook('preClose', async () => closing.resolve());
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => {
    answered.resolve('');
    agent.destroy();
  });
  const request = async (path: string) => {
    const [response] = await once(get({ host: '127.0.0.1', port, path, agent }), 'response');
    return response as IncomingMessage;
  };
  return {
    app,
    port,
    request,
    closing: closing.promise,
    entered: entered.promise,
    answer: answered.resolve,
  };
}

it('closes a connection that waits for its next request', async () => {
  const { app, request } = await setUp();
  const response = await request('/quick');
  const { socket } = response;
  await text(response);
  expect(response.headers.connection).toBe('keep-alive');
  await Promise.all([once(socket, 'close'), app.close()]);
});

it('closes a connection that never sent anything', async () => {
  const { app, port } = await setUp();
  const arrived = once(app.server, 'connection');
  const socket = connect(port, '127.0.0.1');
  await arrived;
  await Promise.all([once(socket, 'close'), app.close()]);
});

it('lets a request under way finish and closes its connection then', async () => {
  const { app, request, entered, closing, answer } = await setUp();
  const responding = request('/slow');
  await entered;
  const closed = app.close();
  await closing;
  answer('whole answer');
  const response = await responding;
  expect(response.headers.connection).toBe('close');
  expect(await text(response)).toBe('whole answer');
  await closed;
});

it('answers the second of two requests that came together', async () => {
  const { app, port, entered, closing, answer } = await setUp();
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /quick HTTP/1.1\r\nhost: x\r\n\r\nGET /slow HTTP/1.1\r\nhost: x\r\n\r\n');
  const received = text(socket);
  await entered;
  const closed = app.close();
  await closing;
  answer('whole answer');
  expect(await received).toMatch(/quick[\s\S]*connection: close[\s\S]*whole answer$/);
  await closed;
});

it('sends a long answer to its end, also to a client that reads slowly', async () => {
  const { app, request, closing } = await setUp();
  const response = await request('/long');
  const closed = app.close();
  await closing;
  expect(await text(response)).toHaveLength(LONG.length);
  await closed;
});

it('cuts a request off that outlasts the grace time', async () => {
  const { app, request, entered } = await setUp({ graceMs: 20 });
  const failed = request('/slow').catch((error) => error);
  await entered;
  await app.close();
  expect(await failed).toBeInstanceOf(Error);
});
