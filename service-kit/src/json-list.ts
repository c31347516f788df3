import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fresh from 'fresh';
import { z } from 'zod';
import type { JsonArray } from './record-list.ts';

/** Documents the answer of a list to a client that has it already. */
export const notModified = {
  description: 'What the client has, by its `If-None-Match`, is what would be sent.',
  content: {},
};

/** Documents what every list says of itself. */
export const listHeaders = {
  ETag: z.string().meta({ description: 'For `If-None-Match`.', examples: ['"426614174000-0-1"'] }),
};

/** Documents what a list may be asked with. It checks nothing, as Node has the name in lower case. */
export const listRequestHeadersSchema = z.looseObject({
  'If-None-Match': z.string().optional().meta({
    // Without an example: Swagger UI would fill it in.
    description: 'The `ETag` of what the client has, or several of them.',
  }),
});

/** Up to this size, a list is one write; a larger one is sent as fast as the client takes it. */
const MAX_AT_ONCE_BYTES = 64 * 1024;

/** Answers with a list, or with 304 when the client has it already (RFC 9110, section 13). */
export function sendList(
  request: FastifyRequest,
  reply: FastifyReply,
  { pieces, byteLength, etag }: JsonArray,
): FastifyReply {
  reply.header('etag', etag);
  const { 'if-none-match': ifNoneMatch } = request.headers;
  // Not its Cache-Control: that is for caches on the way, and `fetch` adds one by itself.
  if (fresh({ 'if-none-match': ifNoneMatch }, { etag })) {
    // To HEAD, Fastify would say that what is not sent has a length of 0; of a stream it says nothing.
    return reply.code(304).send(request.method === 'HEAD' ? Readable.from([]) : undefined);
  }
  if (byteLength <= MAX_AT_ONCE_BYTES) return sendJson(reply, Buffer.concat([...pieces]));
  reply.header('content-length', byteLength);
  return sendJson(reply, Readable.from(pieces, { objectMode: false }));
}

/** Answers with what is JSON text already. */
export function sendJson(reply: FastifyReply, json: string | Buffer | Readable): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(json);
}
