import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createHttpAgent, USER_AGENT } from '../src/http-agent.ts';

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n';
const PROCESSING = 'HTTP/1.1 102 Processing\r\nserver: x\r\n\r\n';

const LARGE = 'x'.repeat(200_000);

const answer = (body: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** A client of a server that answers each request with these pieces, one after another. */
async function setUp(...pieces: string[]) {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket.setNoDelay());
    socket.on('error', () => {});
    socket.on('data', async () => {
      for (const piece of pieces) {
        socket.write(piece);
        await turn();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const agent = createHttpAgent({ connections: 1, connectTimeout: 5_000 });
  onTestFinished(async () => {
    await agent.destroy();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    connections: () => connections,
    async send(method = 'POST') {
      const { statusCode, body } = await agent.request({ origin, path: '/', method, body: '{}' });
      return [statusCode, await body.text()];
    },
  };
}

describe('an interim answer that nobody asked for', () => {
  it.each<[string, string[], string?]>([
    ['alone in its packet', [CONTINUE, answer('ok')]],
    ['in one packet with the answer', [CONTINUE + answer('ok')]],
    ['with headers', ['HTTP/1.1 100 Continue\r\nserver: IIS\r\n\r\n', answer('ok')]],
    ['without a phrase', ['HTTP/1.1 100 \r\n\r\n', answer('ok')]],
    ['several times', [CONTINUE + CONTINUE, CONTINUE, answer('ok')]],
    ['among others', [HINTS, CONTINUE, PROCESSING + CONTINUE, answer('ok')]],
    ['before a large answer', [CONTINUE + answer(LARGE)], LARGE],
    ['byte by byte', [...CONTINUE, ...HINTS, ...CONTINUE, ...answer('ok')]],
  ])('is passed over, and the connection kept: %s', async (_, pieces, body = 'ok') => {
    const { send, connections } = await setUp(...pieces);
    for (let request = 0; request < 3; request++) expect(await send()).toEqual([200, body]);
    expect(connections()).toBe(1);
  });

  it('is only what comes before an answer: in a body, it is text', async () => {
    const { send } = await setUp(answer(CONTINUE).slice(0, -CONTINUE.length), CONTINUE);
    expect(await send()).toEqual([200, CONTINUE]);
    expect(await send()).toEqual([200, CONTINUE]);
  });

  it.each([
    [
      'a change of protocol',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['an interim answer without an end', `HTTP/1.1 100 Continue\r\nx: ${'y'.repeat(20_000)}`],
  ])('is not taken for it: %s', async (_, head) => {
    const { send } = await setUp(head);
    await expect(send()).rejects.toThrow();
  });
});

it('every request names the platform and its version', () => {
  const { name, version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  expect(USER_AGENT).toBe(`${name}/${version}`);
});
