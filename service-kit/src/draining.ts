import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/**
 * Lets `app.close()` end quickly without cutting off a request: idle connections are closed at once, the
 * others after their answer is sent, and any that are left after `graceMs`.
 *
 * Fastify alone leaves a keep-alive connection that was busy when `close()` was called open until its
 * client or the keep-alive time-out ends it (fastify/fastify#7044).
 *
 * @param graceMs default 5,000
 */
export function drainOnClose(app: FastifyInstance, graceMs = 5_000): void {
  const openRequests = new Map<Socket, number>();
  let closing = false;

  app.server.on('connection', (socket) => {
    openRequests.set(socket, 0);
    socket.once('close', () => openRequests.delete(socket));
  });
  app.server.on('request', ({ socket }, response) => {
    openRequests.set(socket, (openRequests.get(socket) ?? 0) + 1);
    response.once('close', () => {
      if (socket.destroyed) return;
      const left = (openRequests.get(socket) ?? 1) - 1;
      openRequests.set(socket, left);
      if (closing && left === 0) socket.destroySoon();
    });
  });
  // Node calls this when the server closes. It would treat a connection as idle whose answer is written
  // but not yet sent, and cut off a long list.
  app.server.closeIdleConnections = () => {};
  app.addHook('preClose', async () => {
    closing = true;
    for (const [socket, count] of openRequests) if (count === 0) socket.destroy();
    setTimeout(() => app.server.closeAllConnections(), graceMs).unref();
  });
  app.addHook('onSend', ({ raw }, reply, payload, done) => {
    // Node closes the connection after an answer with this header. Fastify would set it before the last
    // one.
    const isLast = (openRequests.get(raw.socket) ?? 1) <= 1;
    if (closing && isLast) reply.header('connection', 'close');
    else if (closing) reply.raw.removeHeader('connection');
    done(null, payload);
  });
}
