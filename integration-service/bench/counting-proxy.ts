import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';

/** Forwards connections to a port on loopback, and counts bytes and requests. */
export async function startCountingProxy(port: number) {
  const counts = { bytes: 0, requests: 0 };
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    client.on('data', (chunk) => {
      counts.bytes += chunk.length;
      if (chunk.toString('latin1', 0, 4) === 'GET ') counts.requests += 1;
    });
    upstream.on('data', (chunk) => {
      counts.bytes += chunk.length;
    });
    pipeline(client, upstream, client, () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
