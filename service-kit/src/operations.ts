import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { z } from 'zod';
import { answer, commonErrors, errorSchema } from './answers.ts';
import type { HttpService } from './typed-fastify.ts';

/** A part that does not work as it should, and the reason in one or two sentences. */
export interface Degradation {
  part: string;
  reason: string;
}

/**
 * Whether a service can do its work; if not, `reason` says why. `degraded` names every part that does not
 * work as it should, even if the service as a whole is ready.
 */
export type Readiness = ({ ready: true } | { ready: false; reason: string }) & {
  degraded?: Degradation[] | undefined;
};

/** Ready when all are; if not, for the first reason of them. */
export function allOf(checks: readonly Readiness[]): Readiness {
  const first = checks.find(({ ready }) => !ready) ?? { ready: true };
  return { ...first, degraded: checks.flatMap(({ degraded = [] }) => degraded) };
}

const statusSchema = z
  .object({ status: z.literal('ok').describe('Always `ok`.') })
  .meta({ id: 'Status', description: 'The service answers.', examples: [{ status: 'ok' }] });

const degradedSchema = z
  .array(
    z.object({
      part: z.string().describe('What does not work as it should.'),
      reason: z.string().describe('Why, and what to do.'),
    }),
  )
  .optional()
  .describe('The parts that do not work as they should; left out when all of them do.');

const readySchema = statusSchema.extend({ degraded: degradedSchema }).meta({
  id: 'Readiness',
  description: 'The service can do its work.',
  examples: [{ status: 'ok' }],
});

const unreadySchema = errorSchema.extend({ degraded: degradedSchema }).meta({
  id: 'Unreadiness',
  description: 'What keeps the service from its work.',
  examples: [{ detail: 'No poll of the CRM succeeded in the last 30 seconds.' }],
});

const tags = ['operations'];

/** `GET /healthz`: the process is alive. `GET /readyz`: it can do its work. */
export function addHealthRoutes(app: HttpService, checkReadiness: () => Readiness): void {
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Does the process live?',
        tags,
        response: { 200: answer('It does.', statusSchema), ...commonErrors },
      },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Can the service do its work?',
        tags,
        response: {
          ...commonErrors,
          200: answer('It can.', readySchema),
          503: answer('It cannot, and why.', unreadySchema),
        },
      },
    },
    async (_request, reply) => {
      const readiness = checkReadiness();
      const degraded = readiness.degraded?.length ? readiness.degraded : undefined;
      if (readiness.ready) return { status: 'ok' as const, degraded };
      return reply.code(503).send({ detail: readiness.reason, degraded });
    },
  );
}

/** Creates the registry of one service, which includes Node's own process metrics. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/**
 * `GET /metrics`: the registry as Prometheus text, generated at most once a second. Also measures every
 * request by its route.
 */
export function addMetricsRoute(app: HttpService, registry: Registry): void {
  let text: Promise<string> | undefined;
  const forget = () => {
    text = undefined;
  };
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the arrival of a request to the end of its answer',
    labelNames: ['method', 'route', 'status_code'],
    registers: [registry],
  });
  app.addHook('onResponse', (request, reply, done) => {
    // The route, not the path: a scanner must not create a new time series with every request.
    const route = request.routeOptions.url ?? 'unmatched';
    durations.observe(
      { method: request.method, route, status_code: reply.statusCode },
      reply.elapsedTime / 1000,
    );
    done();
  });
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics in the Prometheus text format',
        tags,
        response: {
          200: {
            description: 'One line a time series.',
            content: { 'text/plain': { schema: z.string() } },
          },
          ...commonErrors,
        },
      },
    },
    async (_request, reply) => {
      reply.type(registry.contentType);
      if (!text) {
        text = registry.metrics();
        // From the end on, so that what takes longer than a second does not run without a break.
        text.then(() => setTimeout(forget, 1_000).unref(), forget);
      }
      return text;
    },
  );
}
