import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Cutter, createCutter } from './cutter.ts';

/** A proxy between a client and a server on loopback. It cuts all connections when told to. */
export interface TcpProxy extends Pick<Cutter, 'cut'>, Disposable {
  port: number;
}

/** @param name for the message if there is nothing to cut */
export async function createTcpProxy(
  name: string,
  targetPort: number,
  signal: AbortSignal,
): Promise<TcpProxy> {
  const cutter = createCutter(name, signal);
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1');
    join(client, target, 'request');
    join(target, client, 'answer');
  });

  function join(from: Socket, to: Socket, kind: 'request' | 'answer'): void {
    sockets.add(from);
    from.on('data', (chunk) => {
      if (cutter.isDue(kind)) return cutAll();
      if (to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
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
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut: cutter.cut,
    [Symbol.dispose]() {
      server.close();
      cutAll();
    },
  };
}
