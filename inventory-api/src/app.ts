import {
  answer,
  bodyErrors,
  commonErrors,
  errorAnswer,
  validationErrorSchema,
} from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
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
import { productParamsSchema, productSchema } from './product.ts';
import { createProductCatalogue } from './product-catalogue.ts';

/** The Inventory API with an empty store; does not listen. */
export async function buildApp(
  options: Pick<HttpServiceOptions, 'log' | 'serializerCompiler'>,
): Promise<HttpService> {
  const { log, serializerCompiler } = options;
  const catalogue = createProductCatalogue(createSerializer(productSchema, serializerCompiler));
  const store = createPackageRequestStore({
    serialize: createSerializer(packageRequestSchema, serializerCompiler),
    onCreated: ({ package_type }) => catalogue.takeOne(package_type),
  });
  const app = await createHttpService({
    ...options,
    title: 'Mock Inventory API',
    description: 'A fulfilment system in memory that takes package requests and has products.',
    tags: [
      { name: 'package requests', description: 'Create and list package requests.' },
      { name: 'products', description: 'The catalogue, and how many of each there are.' },
    ],
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

  app.get(
    '/products',
    {
      schema: {
        operationId: 'listProducts',
        summary: 'List products',
        description:
          'All products. A package request takes one of the product whose `sku` is its `package_type`; it is accepted although none is left.',
        tags: ['products'],
        headers: listRequestHeadersSchema,
        response: { ...commonErrors, ...listAnswers('The products.', productSchema) },
      },
    },
    async (request, reply) => sendList(request, reply, catalogue.list()),
  );

  app.get(
    '/products/:id',
    {
      schema: {
        operationId: 'getProduct',
        summary: 'One product',
        tags: ['products'],
        params: productParamsSchema,
        response: {
          ...commonErrors,
          200: answer('The product.', productSchema),
          404: errorAnswer('There is no such product.', 'Not Found'),
        },
      },
    },
    async ({ params: { id } }, reply) => {
      const json = catalogue.get(id);
      if (json === undefined) throw new HttpError(404, 'Not Found');
      return sendJson(reply, json);
    },
  );

  return app;
}
