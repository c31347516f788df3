import { createServer, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { type Connection, createConnection, REQUEST_TIMEOUT } from './connection.ts';

/** Limits on the resources that clients can use. */
export interface ConnectionLimits {
  /** How long a request may take to arrive whole, and the next one to begin. Default: 10,000 ms. */
  arrivalMs: number;
  /**
   * How long a connection may pass no byte in either direction, as when a client does not read its answer.
   * Longer than any handler waits. Default: 20,000 ms, which closes the connection after 20 to 40 s.
   */
  stalledMs: number;
  /** How long a client may take to read why its connection is closed. Default: 1,000 ms. */
  lingerMs: number;
  /** Connections beyond this are closed at once. An idle one takes about 11 kB. Default: 5,000. */
  maxConnections: number;
  /**
   * Requests, about 3 kB each, that arrived before the earlier ones in their connections were answered;
   * the connection that exceeds the limit is closed. Default: 10,000.
   */
  maxWaiting: number;
}

const connections = new WeakMap<Socket, Connection>();

/**
 * An HTTP server that limits the resources that one client can use. Requests of one connection are begun
 * one at a time, each after the previous one is answered; meanwhile nothing more is read from the
 * connection. A connection that passes no bytes for too long is closed.
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
    // Node would answer without a body.
    requireHostHeader: false,
  });
  server.setTimeout(stalledMs);
  server.maxConnections = maxConnections;
  // A client that has closed its sending side still gets its answers. Node has no option for this.
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
  // As in the original, which knows no expectation but `100-continue`.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  return server;
}

/**
 * Closes a connection after sending `lastWord`, the whole text of an answer, behind the answers that are
 * due before it. Sends no `lastWord` if the failed request already has its answer.
 */
export function hangUp(socket: Socket, error: { code?: string }, lastWord: string): void {
  const connection = connections.get(socket);
  if (connection) connection.giveUp(error, lastWord);
  else socket.destroy();
}
