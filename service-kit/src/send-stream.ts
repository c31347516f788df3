import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';

/** Answers with bytes as fast as the client reads them. */
export function sendStream(reply: FastifyReply, stream: Readable): FastifyReply {
  return reply.send(stream);
}
