import { answer, bodyErrors, commonErrors, errorAnswer } from 'service-kit/answers';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { listRequestHeadersSchema, sendJson } from 'service-kit/json-list';
import { createSerializer } from 'service-kit/serialization';
import { addCrmRoutes } from './crm-routes.ts';
import { customerCreateSchema, customerQuerySchema, customerSchema } from './customer.ts';
import { type CustomerEvent, customerWritten } from './customer-event.ts';
import { PAGE_DESCRIPTION, pageAnswers, sendPage } from './customer-page.ts';
import { createCustomerStore } from './customer-store.ts';
import { CRM_TAG, CUSTOMER_WEBHOOK, CUSTOMERS_TAG } from './documentation.ts';

export interface AppOptions
  extends Pick<HttpServiceOptions, 'log' | 'metrics' | 'serializerCompiler'> {
  /** Called with every event before the client that caused it gets an answer. Default: no call. */
  onEvent?: ((event: CustomerEvent) => void) | undefined;
}

/** The CRM API with an empty store; does not listen. */
export async function buildApp(options: AppOptions): Promise<HttpService> {
  const { log, serializerCompiler, onEvent } = options;
  const store = createCustomerStore(createSerializer(customerSchema, serializerCompiler));
  const app = await createHttpService({
    ...options,
    title: 'Mock CRM API',
    description: 'A customer registry in memory.',
    tags: [CUSTOMERS_TAG, CRM_TAG],
    webhooks: { customerEvent: CUSTOMER_WEBHOOK },
  });

  app.post(
    '/customers',
    {
      schema: {
        operationId: 'createCustomer',
        summary: 'Create a customer',
        description: 'Adds a customer. No two customers have the same e-mail address.',
        tags: [CUSTOMERS_TAG.name],
        body: customerCreateSchema,
        response: {
          ...commonErrors,
          ...bodyErrors,
          201: answer('The customer was created.', customerSchema),
          409: errorAnswer(
            'A customer with this e-mail address exists.',
            "Customer with email 'jane.doe@example.com' already exists.",
          ),
        },
      },
    },
    async (request, reply) => {
      const created = store.create(request.body);
      if (!created) {
        const detail = `Customer with email '${request.body.email}' already exists.`;
        return reply.code(409).send({ detail });
      }
      const { customer, json } = created;
      onEvent?.(customerWritten('CREATE', customer, customer.created_at));
      log.info(`CRM_API: Added new customer: ${customer.name} (${customer.id})`);
      return sendJson(reply.code(201), json);
    },
  );

  app.get(
    '/customers',
    {
      schema: {
        operationId: 'listCustomers',
        summary: 'List customers',
        description: PAGE_DESCRIPTION,
        tags: [CUSTOMERS_TAG.name],
        headers: listRequestHeadersSchema,
        querystring: customerQuerySchema,
        response: { ...commonErrors, ...pageAnswers(customerSchema) },
      },
    },
    async (request, reply) => sendPage(request, reply, store.customers),
  );

  addCrmRoutes(app, { store, log, onEvent });

  return app;
}
