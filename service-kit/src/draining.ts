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
  const idle = new Set<Socket>();
  let closing = false;

  app.server.on('connection', (socket) => {
    idle.add(socket);
    socket.once('close', () => idle.delete(socket));
  });
  app.server.on('request', ({ socket }, response) => {
    idle.delete(socket);
    response.once('close', () => {
      if (closing) socket.destroySoon();
      else if (!socket.destroyed) idle.add(socket);
    });
  });
  // Node calls it when the server closes, and takes a connection for idle whose answer has been
  // written, though not yet sent: a long list would be cut off.
  app.server.closeIdleConnections = () => {};
  app.addHook('preClose', async () => {
    closing = true;
    for (const socket of idle) socket.destroy();
    setTimeout(() => app.server.closeAllConnections(), graceMs).unref();
  });
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close');
  });
}
