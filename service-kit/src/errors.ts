import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import createRouter from 'find-my-way';
import { REQUEST_TIMEOUT } from './connection.ts';
import { hangUp } from './http-server.ts';
import { type ErrorDetail, InvalidRequestError } from './validation.ts';

/** How paths find their routes. The longest parameter is the id of a customer, percent-encoded. */
export const ROUTER_OPTIONS = { ignoreTrailingSlash: true, maxParamLength: 4_096 };

/** An answer other than success that the client may see: `{"detail": message}` with this status. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

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
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) answerUnmatched(request, reply);
    else done();
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
  // Of what others throw, only what is the client's affair, and Fastify's own 503.
  return error instanceof HttpError || status === 503 || (status >= 400 && status < 500)
    ? { status, detail: error.message }
    : { status: 500, detail: 'Internal Server Error' };
}

/** Answers what Node's HTTP parser refuses, or what takes too long to arrive, and hangs up. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  const status = CLIENT_ERRORS[error.code ?? ''] ?? 400;
  if (!error.code?.startsWith('HPE_') && status === 400) {
    // The connection broke: nobody reads an answer.
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

/** Statuses other than 400. */
const CLIENT_ERRORS: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  [REQUEST_TIMEOUT]: 408,
};

/** Collects the routes as they are added; the result tells a path's methods, sorted. */
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
