import { answer, bodyErrors, commonErrors, validationErrorSchema } from 'service-kit/answers';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { listAnswers, listRequestHeadersSchema, sendJson, sendList } from 'service-kit/json-list';
import { createSerializer } from 'service-kit/serialization';
import {
  idempotencyKeyErrors,
  idempotencyKeyHeaderSchema,
  idempotencyReplayedSchema,
  parseIdempotencyKey,
} from './idempotency-key.ts';
import {
  packageRequestCreateSchema,
  packageRequestQuerySchema,
  packageRequestSchema,
} from './package-request.ts';
import { createPackageRequestStore } from './package-request-store.ts';

/** The Inventory API with an empty store; does not listen. */
export async function buildApp(
  options: Pick<HttpServiceOptions, 'log' | 'serializerCompiler'>,
): Promise<HttpService> {
  const { log, serializerCompiler } = options;
  const store = createPackageRequestStore(
    createSerializer(packageRequestSchema, serializerCompiler),
  );
  const app = await createHttpService({
    ...options,
    title: 'Mock Inventory API',
    description: 'A fulfilment system in memory that takes package requests.',
    tags: [{ name: 'package requests', description: 'Create and list package requests.' }],
  });

  app.post(
    '/package-requests',
    {
      schema: {
        operationId: 'createPackageRequest',
        summary: 'Request a package',
        description:
          'Adds a package request. Two requests for one customer are two requests, unless they have ' +
          'the same `Idempotency-Key`: then the second gets the answer to the first.',
        tags: ['package requests'],
        headers: idempotencyKeyHeaderSchema,
        body: packageRequestCreateSchema,
        response: {
          ...commonErrors,
          ...bodyErrors,
          ...idempotencyKeyErrors,
          201: {
            ...answer(
              'The package request was created, by this request or an earlier one with its key.',
              packageRequestSchema,
            ),
            headers: { 'Idempotency-Replayed': idempotencyReplayedSchema },
          },
        },
      },
    },
    async (request, reply) => {
      const key = parseIdempotencyKey(request.raw.rawHeaders);
      const result = store.create(request.body, key);
      if (result.outcome === 'key_reused') {
        const detail = `The Idempotency-Key '${key}' was used for another request.`;
        return reply.code(422).send({ detail });
      }
      const { customer_id } = request.body;
      if (result.outcome === 'replayed') reply.header('idempotency-replayed', 'true');
      else log.info(`INVENTORY_API: Created package request for customer: ${customer_id}`);
      return sendJson(reply.code(201), result.json);
    },
  );

  app.get(
    '/package-requests',
    {
      schema: {
        operationId: 'listPackageRequests',
        summary: 'List package requests',
        description: 'All package requests, or those of one customer, in order of creation.',
        tags: ['package requests'],
        headers: listRequestHeadersSchema,
        querystring: packageRequestQuerySchema,
        response: {
          ...commonErrors,
          ...listAnswers('The package requests.', packageRequestSchema),
          422: answer('The customer_id is not a UUID.', validationErrorSchema),
        },
      },
    },
    async (request, reply) => sendList(request, reply, store.list(request.query.customer_id)),
  );

  return app;
}
