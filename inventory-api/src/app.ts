import { answer, bodyErrors, commonErrors } from 'service-kit/answers';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { z } from 'zod';
import { packageRequestCreateSchema, packageRequestSchema } from './package-request.ts';
import { createPackageRequestStore } from './package-request-store.ts';

/** The Inventory API with an empty store; does not listen. */
export async function buildApp(
  options: Pick<HttpServiceOptions, 'log' | 'serializerCompiler'>,
): Promise<HttpService> {
  const { log } = options;
  const store = createPackageRequestStore();
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
        description: 'Adds a package request. Two requests for one customer are two requests.',
        tags: ['package requests'],
        body: packageRequestCreateSchema,
        response: {
          ...bodyErrors,
          ...commonErrors,
          201: answer('The package request was created.', packageRequestSchema),
        },
      },
    },
    async (request, reply) => {
      const created = store.create(request.body);
      log.info(`INVENTORY_API: Created package request for customer: ${created.customer_id}`);
      return reply.code(201).send(created);
    },
  );

  app.get(
    '/package-requests',
    {
      schema: {
        operationId: 'listPackageRequests',
        summary: 'List all package requests',
        description: 'All package requests in order of creation.',
        tags: ['package requests'],
        response: {
          ...commonErrors,
          200: answer('The package requests.', z.array(packageRequestSchema)),
        },
      },
    },
    async () => store.list(),
  );

  return app;
}
