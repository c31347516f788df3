import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What the client sends, or the answer to it. */
export type Part = 'request' | 'answer';

/** A proxy between clients and a server on loopback. */
export interface TcpProxy extends Disposable {
  port: number;
  /**
   * Cuts all connections instead of passing on the next data of this part; resolves when it has. If an answer is
   * lost, the client does not know that its request arrived.
   */
  cut(lost: Part): Promise<void>;
}

/**
 * @param url where the server listens on 127.0.0.1
 * @param onData called with the size in bytes of all that comes
 */
export async function createTcpProxy(
  url: URL,
  onData?: (part: Part, bytes: number) => void,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let due: { lost: Part; done: () => void } | undefined;
  const server = createServer((client) => {
    const target = connect(Number(url.port), '127.0.0.1');
    join(client, target, 'request');
    join(target, client, 'answer');
  });

  function join(from: Socket, to: Socket, part: Part): void {
    sockets.add(from);
    from.on('data', (chunk) => {
      onData?.(part, chunk.length);
      if (due?.lost === part) cutAll();
      else if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    // The two ends find out the cause themselves.
    from.on('error', () => {});
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  }

  function cutAll(): void {
    for (const socket of sockets) socket.resetAndDestroy();
    due?.done();
    due = undefined;
  }

  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut: (lost) =>
      new Promise((done) => {
        due = { lost, done };
      }),
    [Symbol.dispose]() {
      server.close();
      cutAll();
    },
  };
}
