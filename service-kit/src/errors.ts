import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import createRouter, { type HTTPMethod } from 'find-my-way';
import { z } from 'zod';
import { type ErrorDetail, InvalidRequestError } from './validation.ts';

/** An answer other than success that the client may see: `{"detail": message}` with this status. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** `{"detail": "…"}`: what went wrong, in one sentence. */
export const errorSchema = z
  .object({ detail: z.string().describe('What went wrong.') })
  .meta({ id: 'Error', description: 'Why the request was not carried out.' });

/** `{"detail": [{type, loc, msg, input}]}`: the fields that are wrong, each with the reason. */
export const validationErrorSchema = z
  .object({
    detail: z.array(
      z.object({
        type: z
          .string()
          .describe('The kind of error.')
          .meta({ examples: ['missing'] }),
        loc: z
          .array(z.union([z.string(), z.number()]))
          .describe('Where it is: the part of the request, then the path inside it.')
          .meta({ examples: [['body', 'email']] }),
        msg: z
          .string()
          .describe('The reason.')
          .meta({ examples: ['Field required'] }),
        input: z.unknown().describe('What came.'),
      }),
    ),
  })
  .meta({ id: 'ValidationError', description: 'The fields that are wrong, in their order.' });

/** Documents an answer: its text and its schema. */
export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } };
}

/** The answers that any route may give beside its own. */
export const commonErrors = {
  500: answer('Something broke in the service; its log has the details.', errorSchema),
  503: answer('The service could not answer in time.', errorSchema),
};

/** The answers to a body that cannot be used, for every route that takes one. */
export const bodyErrors = {
  400: answer('The body is not valid UTF-8.', errorSchema),
  413: answer('The body is larger than 1 MiB.', errorSchema),
  415: answer('The content type is neither application/json nor application/*+json.', errorSchema),
  422: answer('A field is missing or wrong, or the body is not JSON.', validationErrorSchema),
};

/** Gives every failure the shape `{"detail": …}`, and a wrong method a 405 with `Allow`. */
export function answerErrors(app: FastifyInstance): void {
  const allowedMethods = trackMethods(app);

  const answerUnmatched = (request: FastifyRequest, reply: FastifyReply) => {
    const allowed = allowedMethods(request.url);
    if (!allowed || allowed.includes(request.method)) {
      return reply.code(404).send({ detail: 'Not Found' });
    }
    return reply
      .code(405)
      .header('allow', allowed.join(', '))
      .send({ detail: 'Method Not Allowed' });
  };

  // Before the body is read: what is wrong with the body of a request to nowhere does not matter.
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return answerUnmatched(request, reply);
  });
  app.setNotFoundHandler(answerUnmatched);
  app.setErrorHandler(answerError);
}

function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const { status, detail } = toAnswer(error);
  if (status === 500) {
    request.log.error({ err: error, method: request.method, url: request.url }, 'Request failed');
  }
  reply.code(status).send({ detail });
}

function toAnswer(error: FastifyError): { status: number; detail: string | ErrorDetail[] } {
  if (error instanceof InvalidRequestError) return { status: 422, detail: error.details };
  const status = error.statusCode ?? 500;
  return status === 503 || (status >= 400 && status < 500)
    ? { status, detail: error.message }
    : { status: 500, detail: 'Internal Server Error' };
}

/** Answers what Node's HTTP parser refuses, or what takes too long to arrive, and hangs up. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const codes: Record<string, number> = {
    HPE_HEADER_OVERFLOW: 431,
    ERR_HTTP_REQUEST_TIMEOUT: 408,
  };
  const status = codes[error.code ?? ''] ?? 400;
  const body = JSON.stringify({ detail: STATUS_CODES[status] });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** Collects the routes as they are added; the result tells a path's methods, sorted. */
function trackMethods(app: FastifyInstance): (url: string) => string[] | undefined {
  const router = createRouter({ ignoreTrailingSlash: true });
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    let known = methods.get(url);
    if (!known) {
      known = new Set();
      methods.set(url, known);
      router.on('GET', url, () => {}, known);
    }
    for (const name of [method].flat() as HTTPMethod[]) known.add(name);
  });
  return (url) => {
    const found = router.find('GET', url.split('?')[0] as string);
    return found ? [...(found.store as Set<string>)].sort() : undefined;
  };
}
