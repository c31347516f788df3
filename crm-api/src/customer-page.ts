import type { FastifyReply, FastifyRequest } from 'fastify';
import { answer, validationErrorSchema } from 'service-kit/answers';
import { listAnswers, sendList } from 'service-kit/json-list';
import type { PreparedList, ReadableList } from 'service-kit/record-list';
import { z } from 'zod';
import { cursorAt, positionOf } from './cursor.ts';
import type { CustomerQuery } from './customer.ts';

const headers = {
  Link: z.string().meta({
    description: 'Where to go on (RFC 8288), relative to what was asked for.',
    examples: ['<?after=426614174000-1>; rel="next"'],
  }),
};

export const PAGE_DESCRIPTION =
  'In order of creation: all customers, or those after a cursor. The `Link` header leads on from ' +
  'the last one, also when there are no more yet: whoever asks there later gets the new ones.';

/** Documents the answers of a list of customers. */
export function pageAnswers<Item extends z.ZodType>(itemSchema: Item) {
  return {
    ...listAnswers('The customers.', itemSchema, headers),
    422: answer('The cursor or the limit is none.', validationErrorSchema),
  };
}

/** The same, of a list that is made when it is read. */
export async function sendPreparedPage(
  request: FastifyRequest<{ Querystring: CustomerQuery }>,
  reply: FastifyReply,
  list: PreparedList,
): Promise<FastifyReply> {
  await list.prepare(beginOf(request.query, list), request.query.limit);
  return sendPage(request, reply, list);
}

function beginOf({ after }: CustomerQuery, list: ReadableList): number {
  return after === undefined ? 0 : positionOf(after, list);
}

/** Answers with a list of customers, or with the part that the query asks for. */
export function sendPage(
  request: FastifyRequest<{ Querystring: CustomerQuery }>,
  reply: FastifyReply,
  list: ReadableList,
): FastifyReply {
  const { limit } = request.query;
  const page = list.slice(beginOf(request.query, list), limit);
  const next = new URLSearchParams({ after: cursorAt(list.epoch, page.end) });
  if (limit !== undefined) next.set('limit', String(limit));
  // Relative to the request URL: behind a gateway, the public path may be longer than the one seen here.
  reply.header('link', `<?${next}>; rel="next"`);
  return sendList(request, reply, page);
}
