import {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { prefersHtml } from './accept.ts';
import { answer, commonErrors } from './answers.ts';
import { drainOnClose } from './draining.ts';
import { answerClientError, answerErrors, type HttpError, ROUTER_OPTIONS } from './errors.ts';
import { requireOneHost } from './host-header.ts';
import { type ConnectionLimits, createHttpServer } from './http-server.ts';
import { acceptJsonBodies } from './json-body.ts';
import type { Logger } from './logger.ts';
import { type DocumentationOptions, documentRoutes } from './open-api.ts';
import { addHealthRoutes, addMetricsRoute, createMetrics, type Readiness } from './operations.ts';
import { fastSerializerCompiler } from './serialization.ts';
import type { HttpService } from './typed-fastify.ts';
import { validatorCompiler } from './validation.ts';

export type { HttpService };

export interface HttpServiceOptions extends Partial<Omit<DocumentationOptions, 'info'>> {
  /** The title of the documentation; `GET /` answers `Welcome to the <title>`. */
  title: string;
  description: string;
  log: Logger;
  /** Default: a new registry. */
  metrics?: Registry | undefined;
  /** The readiness that `/readyz` answers with. Default: always ready. */
  checkReadiness?: (() => Readiness) | undefined;
  /**
   * When a request whose handler has not ended is answered with 503, unless its route has a
   * `handlerTimeout` of its own. Must be longer than the 10 s in which its body may arrive. Default: never,
   * which suits handlers that wait for nothing.
   */
  handlerTimeoutMs?: number | undefined;
  /** What the client may see of an error of the service's own. Default: nothing of any, with status 500. */
  toHttpError?: ((error: Error) => HttpError | undefined) | undefined;
  /** Limits on the resources that clients can use. */
  connectionLimits?: Partial<ConnectionLimits> | undefined;
  /** How responses become text. Default: fast, without checking their values. */
  serializerCompiler?: typeof fastSerializerCompiler | undefined;
}

/**
 * Creates a Fastify service with everything that the platform's services have in common: zod types, errors
 * as `{"detail": …}`, documentation, health, metrics, security headers, time-outs and draining. Add the
 * routes, then listen.
 */
export async function createHttpService(options: HttpServiceOptions): Promise<HttpService> {
  const { title, description, tags = [], log, metrics = createMetrics() } = options;
  const app: HttpService = fastify({
    loggerInstance: log as FastifyBaseLogger,
    // At debug level, a request id ties the lines of a request together. At info, there is hardly more
    // than one.
    childLoggerFactory: (logger, bindings, options) =>
      log.isLevelEnabled('debug') ? logger.child(bindings, options) : logger,
    logController: new RequestLog(),
    serverFactory: (begin) => createHttpServer(begin, options.connectionLimits),
    handlerTimeout: options.handlerTimeoutMs ?? 0,
    // Requests that arrive on an open connection while the service drains are answered, not refused.
    return503OnClosing: false,
    routerOptions: ROUTER_OPTIONS,
    clientErrorHandler: answerClientError,
    // A path that cannot be decoded matches no route.
    frameworkErrors: (_error, _request, reply: FastifyReply) => {
      reply.code(404).send({ detail: 'Not Found' });
    },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(options.serializerCompiler ?? fastSerializerCompiler);

  drainOnClose(app);
  app.addHook('onRequest', ({ routeOptions: { config } }, reply, done) => {
    reply.headers(SECURITY_HEADERS);
    reply.header('content-security-policy', config.contentSecurityPolicy ?? NOTHING_ALLOWED);
    done();
  });
  requireOneHost(app);
  answerErrors(app, options.toHttpError);
  acceptJsonBodies(app);
  await documentRoutes(app, {
    info: { title, description, version: '1.0.0' },
    tags: [...tags, { name: 'operations', description: 'Health, metrics and a greeting.' }],
    securitySchemes: options.securitySchemes,
    webhooks: options.webhooks,
  });
  addMetricsRoute(app, metrics);
  addHealthRoutes(app, options.checkReadiness ?? (() => ({ ready: true })));
  addWelcomeRoute(app, title);
  return app;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of the answers of a route that is a page. Default: a browser may do nothing with them. */
    contentSecurityPolicy?: string;
  }
}

const NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'";

/** No browser takes an answer for another type than it is, or exposes it to other sites. */
const SECURITY_HEADERS = {
  'cross-origin-resource-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
};

/** Logs one line per request, at debug level: at info, health checks alone would fill the log. */
class RequestLog extends LogController {
  override incomingRequest(): void {}

  override requestCompleted(
    _error: Error | null | undefined,
    { method, url }: FastifyRequest,
    reply: FastifyReply,
  ): void {
    const { statusCode, elapsedTime } = reply;
    reply.log.debug({ method, url, statusCode, elapsedMs: elapsedTime }, 'Request answered');
  }

  override streamError(err: Error, _request: FastifyRequest, reply: FastifyReply): void {
    reply.log.debug({ err }, 'Answer cut off by its client');
  }
}

const varySchema = z
  .string()
  .meta({ description: 'What the answer goes by.', examples: ['Accept'] });

function addWelcomeRoute(app: HttpService, title: string): void {
  const message = `Welcome to the ${title}`;
  const schema = z
    .object({ message: z.string().describe('A greeting.') })
    .meta({ id: 'Welcome', description: 'Says which service this is.', examples: [{ message }] });
  app.get(
    '/',
    {
      schema: {
        operationId: 'getWelcome',
        summary: 'Which service is this?',
        tags: ['operations'],
        description:
          'A browser, whose `Accept` prefers `text/html`, is sent to this documentation.',
        response: {
          ...commonErrors,
          200: { ...answer('A greeting.', schema), headers: { Vary: varySchema } },
          302: {
            description: 'The documentation, for a browser.',
            headers: {
              Location: z.string().meta({ description: 'Relative to this.', examples: ['./docs'] }),
              Vary: varySchema,
            },
            content: {},
          },
        },
      },
    },
    async (request, reply) => {
      reply.header('vary', 'Accept');
      if (prefersHtml(request.headers.accept)) return reply.redirect('./docs');
      return { message };
    },
  );
}
