import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FastifyReply } from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { HttpService } from '../src/http-service.ts';

/** Fastify's channel for each handler that it calls, including those of plugins. */
const HANDLER_CALLED = 'tracing:fastify.request.handler:start';

export async function listen(app: HttpService): Promise<number> {
  onTestFinished(() => app.close());
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/** Sends the bytes, then ends the connection's sending side; returns what comes back. */
export async function sendBytes(port: number, bytes: string): Promise<string> {
  return text(connect({ port, host: '127.0.0.1', allowHalfOpen: true }).end(bytes));
}

/** How every service handles its connections. `paths` are those of its lists and long answers. */
export function describeConnections(build: () => Promise<HttpService>, paths: string[]): void {
  describe('requests of one connection', () => {
    it.each(['/metrics', '/openapi.json', '/docs/static/swagger-ui-bundle.js', ...paths])(
      'are begun one after the other, however many come together: %s',
      async (path) => {
        const app = await build();
        const port = await listen(app);
        let begun = 0;
        let mostBegun = 0;
        const count = ({ reply }: { reply: FastifyReply }) => {
          if (reply.server.server !== app.server) return;
          begun += 1;
          mostBegun = Math.max(mostBegun, begun);
          reply.raw.once('close', () => {
            begun -= 1;
          });
        };
        subscribe(HANDLER_CALLED, count as never);
        onTestFinished(() => {
          unsubscribe(HANDLER_CALLED, count as never);
        });
        const received = await sendBytes(
          port,
          `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(20),
        );
        expect(received.split('HTTP/1.1 200 OK\r\n')).toHaveLength(1 + 20);
        expect(mostBegun).toBe(1);
      },
    );
  });

  describe('a request', () => {
    it.each([
      ['two Host headers', 'Host: a\r\nhost: b\r\n'],
      ['the same Host header twice', 'Host: a\r\nHost: a\r\n'],
      ['a Host header that is no host', 'Host: a b\r\n'],
      ['a URL for a host', 'Host: http://a\r\n'],
      ['no Host header', 'x: y\r\n'],
    ])('is a 400 with %s, whatever its path', async (_, headers) => {
      const port = await listen(await build());
      for (const path of ['/healthz', '/nowhere', ...paths]) {
        const received = await sendBytes(port, `GET ${path} HTTP/1.1\r\n${headers}\r\n`);
        const [head, body] = received.split('\r\n\r\n');
        expect(head).toMatch(/^HTTP\/1\.1 400 /);
        expect(JSON.parse(body as string)).toEqual({
          detail: expect.stringMatching(/Host header .*\.$|Host header\.$/),
        });
      }
    });

    it.each(['x', 'x:80', '127.0.0.1:8000', '[::1]', '[::1]:80', 'a_b.example', '', 'x:'])(
      'may name the host %j',
      async (host) => {
        const port = await listen(await build());
        const received = await sendBytes(port, `GET /healthz HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
        expect(received).toMatch(/^HTTP\/1\.1 200 /);
      },
    );

    it('needs no Host header in HTTP/1.0', async () => {
      const port = await listen(await build());
      expect(await sendBytes(port, 'GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
    });
  });
}
