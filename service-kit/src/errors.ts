import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import createRouter from 'find-my-way';
import { REQUEST_TIMEOUT } from './connection.ts';
import { hangUp } from './http-server.ts';
import { type ErrorDetail, InvalidRequestError } from './validation.ts';

/** Router options. The longest path parameter is a percent-encoded customer id. */
export const ROUTER_OPTIONS = { ignoreTrailingSlash: true, maxParamLength: 4_096 };

/** An error that the client may see: answered as `{"detail": message}` with this status. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/**
 * Answers every failure in the shape `{"detail": …}`, and a wrong method with 405 and `Allow`.
 *
 * @param toHttpError What the client may see of an error of the service's own. Default: nothing of any.
 */
export function answerErrors(
  app: FastifyInstance,
  toHttpError: (error: Error) => HttpError | undefined = () => undefined,
): void {
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

  // Before the body is read: if the route does not exist, problems of the body do not matter.
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) answerUnmatched(request, reply);
    else done();
  });
  app.setNotFoundHandler(answerUnmatched);
  app.setErrorHandler((error: FastifyError, request, reply) =>
    answerError(toHttpError(error) ?? error, request, reply),
  );
}

function answerError(
  error: FastifyError | HttpError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { status, detail } = toAnswer(error);
  if (status === 500) {
    request.log.error({ err: error, method: request.method, url: request.url }, 'Request failed');
  }
  // Fastify closes the connection on every body error. A client that is still sending would get a reset
  // instead of the answer. Without the header, Node reads on and discards until the request times out.
  reply.removeHeader('connection');
  reply.code(status).send({ detail });
}

function toAnswer(error: FastifyError | HttpError): {
  status: number;
  detail: string | ErrorDetail[];
} {
  if (error instanceof InvalidRequestError) return { status: 422, detail: error.details };
  const status = error.statusCode ?? 500;
  // Of other errors, only 4xx and Fastify's own 503 show their message to the client.
  return error instanceof HttpError || status === 503 || (status >= 400 && status < 500)
    ? { status, detail: error.message }
    : { status: 500, detail: 'Internal Server Error' };
}

/** Answers requests that Node's HTTP parser refuses or that take too long to arrive, and hangs up. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  const status = CLIENT_ERRORS[error.code ?? ''] ?? 400;
  if (!error.code?.startsWith('HPE_') && status === 400) {
    // The connection broke: no client is left to read an answer.
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ detail: STATUS_CODES[status] });
  hangUp(
    socket,
    error,
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** Client errors with a status other than 400. */
const CLIENT_ERRORS: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  [REQUEST_TIMEOUT]: 408,
};

/** Collects the routes as they are added. The result returns the methods of a path, sorted. */
function trackMethods(app: FastifyInstance): (url: string) => string[] | undefined {
  const router = createRouter(ROUTER_OPTIONS);
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    let known = methods.get(url);
    if (!known) {
      known = new Set();
      methods.set(url, known);
      router.on('GET', url, () => {}, known);
    }
    for (const name of [method].flat()) known.add(name);
  });
  return (url) => {
    const found = router.find('GET', url.split('?')[0] as string);
    return found ? [...(found.store as Set<string>)].sort() : undefined;
  };
}
