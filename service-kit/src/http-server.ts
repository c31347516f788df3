import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { type Connection, createConnection, REQUEST_TIMEOUT } from './connection.ts';

/** What clients may take of a service. */
export interface ConnectionLimits {
  /** For a request to arrive whole, and for the next one to begin. Default: 10,000 ms. */
  arrivalMs: number;
  /**
   * Without a byte in either direction, as when a client takes nothing of its answer. Longer than any
   * handler waits. Default: 20,000 ms, so that it is cut off after 20 to 40 s.
   */
  stalledMs: number;
  /** For a client whose connection is given up to read why. Default: 1,000 ms. */
  lingerMs: number;
  /** About 11 kB each when it is idle; those beyond are closed at once. Default: 5,000. */
  maxConnections: number;
  /**
   * Requests that came before those ahead of them in their connections were answered, about 3 kB each;
   * the connection that brings more is closed. Default: 10,000.
   */
  maxWaiting: number;
}

const connections = new WeakMap<Socket, Connection>();

/**
 * An HTTP server that bounds what one client can take of it. Requests of one connection are begun one
 * after the other, each when the one before is answered; meanwhile nothing more is read from it. A
 * connection that brings nothing for too long is closed.
 */
export function createHttpServer(
  begin: RequestListener,
  limits: Partial<ConnectionLimits> = {},
): Server {
  const { arrivalMs = 10_000, stalledMs = 20_000, lingerMs = 1_000 } = limits;
  const { maxConnections = 5_000, maxWaiting = 10_000 } = limits;
  const server = createServer({
    requestTimeout: arrivalMs,
    headersTimeout: arrivalMs,
    keepAliveTimeout: arrivalMs,
    connectionsCheckingInterval: arrivalMs / 5,
    // Node would answer by itself, without a body.
    requireHostHeader: false,
  });
  server.setTimeout(stalledMs);
  server.maxConnections = maxConnections;
  // A client that has sent all still gets its answers. Node has no option for it.
  Object.assign(server, { httpAllowHalfOpen: true });
  const total = { waiting: 0, maxWaiting };
  server.on('connection', (socket) => {
    const onOverdue = () => {
      const error = Object.assign(new Error('Request timeout'), { code: REQUEST_TIMEOUT });
      server.emit('clientError', error, socket);
    };
    const options = { begin, total, arrivalMs, lingerMs, onOverdue };
    connections.set(socket, createConnection(socket, options));
  });
  server.on('request', (request, response) => {
    connections.get(request.socket)?.receive({ request, response });
  });
  // As the original, which knows no expectation but `100-continue`.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  return server;
}

/**
 * Gives a connection up: sends `lastWord`, the whole text of an answer, behind the answers that are due
 * before it, and closes. Says nothing when the request that failed has its answer already.
 */
export function hangUp(socket: Socket, error: { code?: string }, lastWord: string): void {
  const connection = connections.get(socket);
  if (connection) connection.giveUp(error, lastWord);
  else socket.destroy();
}
