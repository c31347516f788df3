import { answer, bodyErrors, commonErrors, errorAnswer } from 'service-kit/answers';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { z } from 'zod';
import { customerCreateSchema, customerSchema } from './customer.ts';
import { createCustomerStore } from './customer-store.ts';

/** The CRM API with an empty store; does not listen. */
export async function buildApp(
  options: Pick<HttpServiceOptions, 'log' | 'serializerCompiler'>,
): Promise<HttpService> {
  const { log } = options;
  const store = createCustomerStore();
  const app = await createHttpService({
    ...options,
    title: 'Mock CRM API',
    description: 'A customer registry in memory.',
    tags: [{ name: 'customers', description: 'Create and list customers.' }],
  });

  app.post(
    '/customers',
    {
      schema: {
        operationId: 'createCustomer',
        summary: 'Create a customer',
        description: 'Adds a customer. No two customers have the same e-mail address.',
        tags: ['customers'],
        body: customerCreateSchema,
        response: {
          ...bodyErrors,
          ...commonErrors,
          201: answer('The customer was created.', customerSchema),
          409: errorAnswer(
            'A customer with this e-mail address exists.',
            "Customer with email 'jane.doe@example.com' already exists.",
          ),
        },
      },
    },
    async (request, reply) => {
      const customer = store.create(request.body);
      if (!customer) {
        const detail = `Customer with email '${request.body.email}' already exists.`;
        return reply.code(409).send({ detail });
      }
      log.info(`CRM_API: Added new customer: ${customer.name} (${customer.id})`);
      return reply.code(201).send(customer);
    },
  );

  app.get(
    '/customers',
    {
      schema: {
        operationId: 'listCustomers',
        summary: 'List all customers',
        description: 'All customers in order of creation.',
        tags: ['customers'],
        response: {
          ...commonErrors,
          200: answer('The customers.', z.array(customerSchema)),
        },
      },
    },
    async () => store.list(),
  );

  return app;
}
