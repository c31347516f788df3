import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * What a cut loses: the next data that the client sends, or the next answer to it, so that the client does not
 * know that its request arrived.
 */
export type Lost = 'request' | 'answer';

/** A proxy between clients and a server on loopback. */
export interface TcpProxy extends Disposable {
  port: number;
  /** Cuts all connections instead of passing on the next data; resolves when it has. */
  cut(lost: Lost): Promise<void>;
}

export async function createTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let due: { lost: Lost; done: () => void } | undefined;
  const server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1');
    join(client, target, 'request');
    join(target, client, 'answer');
  });

  function join(from: Socket, to: Socket, kind: Lost): void {
    sockets.add(from);
    from.on('data', (chunk) => (due?.lost === kind ? cutAll() : to.write(chunk)));
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

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
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
