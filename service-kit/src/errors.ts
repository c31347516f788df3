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
    detail: z
      .array(
        z.object({
          type: z.string().describe('The kind of error.'),
          loc: z
            .array(z.union([z.string(), z.int()]))
            .describe('Where it is: the part of the request, then the path inside it.'),
          msg: z.string().describe('The reason.'),
          input: z.unknown().describe('What came.'),
        }),
      )
      .describe('One item a wrong field.'),
  })
  .meta({
    id: 'ValidationError',
    description: 'The fields that are wrong, in their order.',
    examples: [
      { detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }] },
    ],
  });

/** Documents an answer in JSON: its text and its schema. */
export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } };
}

/** Documents an answer `{"detail": …}`: its text and an example of the detail. */
export function errorAnswer(description: string, detail: string) {
  return {
    description,
    content: { 'application/json': { schema: errorSchema, example: { detail } } },
  };
}

/** The answers that any route may give beside its own. */
export const commonErrors = {
  500: errorAnswer('Something broke; the log of the service says what.', 'Internal Server Error'),
  503: errorAnswer('The service did not answer in time.', 'Service Unavailable'),
};

/** The answers to a body that cannot be used, for every route that takes one. */
export const bodyErrors = {
  400: errorAnswer(
    'The body is not valid UTF-8, or broken and nested too deeply to say where.',
    'The body is not valid UTF-8.',
  ),
  413: errorAnswer('The body is larger than 1 MiB.', 'Request body is too large'),
  415: errorAnswer(
    'The content type is neither application/json nor application/*+json.',
    "Content type 'text/plain' is not supported: send application/json.",
  ),
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
  // Fastify closes the connection on every error of a body. A client that is still sending would get a
  // reset in place of the answer; Node reads on and discards until the request times out.
  reply.removeHeader('connection');
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
