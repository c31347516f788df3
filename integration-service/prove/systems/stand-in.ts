import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server on loopback that stands in for an external system. */
export interface StandIn extends Disposable {
  /** Includes the port, which stays the same. */
  origin: string;
  /** Cuts all connections and stops listening for `forMs`. */
  goDown(forMs: number): Promise<void>;
  /** Resolves when no request is being processed. Requests that it never answers do not count. */
  idle(): Promise<void>;
}

/**
 * Listens on a port of 127.0.0.1. A rejection of `handle` only ends that request: its client may have been
 * killed.
 */
export async function createStandIn(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<StandIn> {
  const working = new Set<Promise<void>>();
  let isClosed = false;
  const server = createServer((request, response) => {
    const work = handle(request, response)
      .catch(() => void response.destroy())
      .finally(() => working.delete(work));
    working.add(work);
  });

  const listen = (port: number) => once(server.listen(port, '127.0.0.1'), 'listening');
  function stopListening(): void {
    server.close();
    server.closeAllConnections();
  }

  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    async goDown(forMs) {
      stopListening();
      await sleep(forMs);
      // Another program may have taken the port meanwhile and will soon release it.
      while (!isClosed && !server.listening) await listen(port).catch(() => sleep(50));
    },
    async idle() {
      while (working.size > 0) await Promise.all(working);
    },
    [Symbol.dispose]() {
      isClosed = true;
      stopListening();
    },
  };
}

export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
