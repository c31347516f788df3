import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fresh from 'fresh';
import { z } from 'zod';
import { answer } from './answers.ts';
import type { JsonArray } from './record-list.ts';

/** Documents the answers of a list: whole, or 304. `ownHeaders` are those besides its ETag. */
export function listAnswers<Item extends z.ZodType>(
  description: string,
  itemSchema: Item,
  ownHeaders: Record<string, z.ZodType> = {},
) {
  const headers = { ETag: etagSchema, ...ownHeaders };
  const notModified = 'What the client has, by its `If-None-Match`, is what would be sent.';
  return {
    200: { ...answer(description, z.array(itemSchema)), headers },
    304: { description: notModified, content: {}, headers },
  };
}

const etagMeta = { description: 'For `If-None-Match`.', examples: ['"426614174000-0-1-0"'] };
const etagSchema = z.string().meta(etagMeta);

/**
 * Documents the request headers of a list. Checks nothing, because Node has the header's name in lower
 * case.
 */
export const listRequestHeadersSchema = z.looseObject({
  'If-None-Match': z.string().optional().meta({
    // No example: Swagger UI would fill it in.
    description: 'The `ETag` of what the client has, or several of them.',
  }),
});

/** Up to this size, a list is one write; a larger one is streamed as fast as the client reads it. */
const MAX_AT_ONCE_BYTES = 64 * 1024;

/** Answers with a list, or with 304 if the client already has it (RFC 9110, section 13). */
export function sendList(
  request: FastifyRequest,
  reply: FastifyReply,
  { pieces, byteLength, etag }: JsonArray,
): FastifyReply {
  reply.header('etag', etag);
  const { 'if-none-match': ifNoneMatch } = request.headers;
  // Ignore the request's Cache-Control: it is for caches on the way, and `fetch` adds one itself.
  if (fresh({ 'if-none-match': ifNoneMatch }, { etag })) {
    // For HEAD, Fastify would send a content-length of 0 for an empty body; for a stream it sends none.
    return reply.code(304).send(request.method === 'HEAD' ? Readable.from([]) : undefined);
  }
  if (byteLength <= MAX_AT_ONCE_BYTES) return sendJson(reply, Buffer.concat([...pieces]));
  reply.header('content-length', byteLength);
  return sendJson(reply, Readable.from(pieces, { objectMode: false }));
}

/** Answers with text that is already JSON. */
export function sendJson(reply: FastifyReply, json: string | Buffer | Readable): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(json);
}
