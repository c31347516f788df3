import { once } from 'node:events';
import { connect } from 'node:net';

export interface LoadOptions {
  port: number;
  method: 'GET' | 'POST';
  path: string;
  /** Returns the body of the next request. Default: none. */
  body?: () => string;
  /** Total number of requests. */
  count: number;
  /** Keep-alive connections, each with one request under way. */
  connections: number;
}

export interface Load {
  perSecond: number;
  /** The duration of each request in milliseconds, unordered. */
  latenciesMs: number[];
}

/**
 * Sends requests and waits for complete answers with status 2xx. Uses bare sockets, so that the client
 * takes less CPU than the server under test.
 *
 * @throws {Error} at any other status
 */
export async function load(options: LoadOptions): Promise<Load> {
  const { count, connections } = options;
  const latenciesMs: number[] = [];
  let sent = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: Math.min(connections, count) }, async () => {
      const client = await openClient(options);
      while (sent < count) {
        sent += 1;
        const sentAt = performance.now();
        await client.send();
        latenciesMs.push(performance.now() - sentAt);
      }
      client.close();
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  return { perSecond: count / seconds, latenciesMs };
}

async function openClient({ port, method, path, body }: LoadOptions) {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  let answered = Promise.withResolvers<void>();
  let missing = 0;
  socket.on('error', (error) => answered.reject(error));
  socket.on('data', (chunk: Buffer) => {
    if (missing > 0) missing -= chunk.length;
    else missing = bytesAfter(chunk);
    if (missing <= 0) answered.resolve();
  });

  /** How many bytes of the answer that begins with this chunk are still missing. */
  function bytesAfter(chunk: Buffer): number {
    const headEnd = chunk.indexOf('\r\n\r\n') + 4;
    const head = chunk.toString('latin1', 0, headEnd);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (!/^HTTP\/1\.1 2/.test(head) || length === undefined) {
      answered.reject(new Error(`${method} ${path}: ${chunk.toString('utf8', 0, 500)}`));
    }
    return headEnd + Number(length) - chunk.length;
  }

  const head = `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n`;
  return {
    send(): Promise<void> {
      answered = Promise.withResolvers();
      const text = body?.() ?? '';
      const type = text
        ? `content-type: application/json\r\ncontent-length: ${text.length}\r\n`
        : '';
      socket.write(`${head}${type}\r\n${text}`);
      return answered.promise;
    },
    close: () => socket.destroy(),
  };
}
