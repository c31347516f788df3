import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/**
 * Lets `app.close()` end quickly without cutting a request off: connections that wait for a request
 * are closed at once, the others when their answer is out, and whatever is left after `graceMs`.
 *
 * Fastify alone leaves a keep-alive connection that was busy when `close()` was called open until
 * its client or the keep-alive time-out ends it (fastify/fastify#7044).
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
  // Node calls it when the server closes, and takes a connection for idle whose answer has been
  // written, though not yet sent: a long list would be cut off.
  app.server.closeIdleConnections = () => {};
  app.addHook('preClose', async () => {
    closing = true;
    for (const [socket, count] of openRequests) if (count === 0) socket.destroy();
    setTimeout(() => app.server.closeAllConnections(), graceMs).unref();
  });
  app.addHook('onSend', ({ raw }, reply, payload, done) => {
    // Behind the answer that says so, Node closes: Fastify would say it before the last one.
    const isLast = (openRequests.get(raw.socket) ?? 1) <= 1;
    if (closing && isLast) reply.header('connection', 'close');
    else if (closing) reply.raw.removeHeader('connection');
    done(null, payload);
  });
}
