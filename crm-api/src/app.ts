import {
  answer,
  bodyErrors,
  commonErrors,
  errorAnswer,
  validationErrorSchema,
} from 'service-kit/answers';
import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';
import { listAnswers, listRequestHeadersSchema, sendJson, sendList } from 'service-kit/json-list';
import { createSerializer } from 'service-kit/serialization';
import { z } from 'zod';
import { cursorAt, positionOf } from './cursor.ts';
import { customerCreateSchema, customerQuerySchema, customerSchema } from './customer.ts';
import { type CustomerEvent, customerCreated } from './customer-event.ts';
import { createCustomerStore } from './customer-store.ts';
import { CUSTOMER_WEBHOOK, CUSTOMERS_TAG } from './documentation.ts';

const headers = {
  Link: z.string().meta({
    description: 'Where to go on (RFC 8288), relative to what was asked for.',
    examples: ['<?after=426614174000-1>; rel="next"'],
  }),
};

export interface AppOptions
  extends Pick<HttpServiceOptions, 'log' | 'metrics' | 'serializerCompiler'> {
  /** Called with every event before the client that caused it gets an answer. Default: no call. */
  onEvent?: ((event: CustomerEvent) => void) | undefined;
}

/** The CRM API with an empty store; does not listen. */
export async function buildApp(options: AppOptions): Promise<HttpService> {
  const { log, serializerCompiler, onEvent } = options;
  const { create, records } = createCustomerStore(
    createSerializer(customerSchema, serializerCompiler),
  );
  const app = await createHttpService({
    ...options,
    title: 'Mock CRM API',
    description: 'A customer registry in memory.',
    tags: [CUSTOMERS_TAG],
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
      const created = create(request.body);
      if (!created) {
        const detail = `Customer with email '${request.body.email}' already exists.`;
        return reply.code(409).send({ detail });
      }
      const { customer, json } = created;
      onEvent?.(customerCreated(customer, json));
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
        description:
          'In order of creation: all customers, or those after a cursor. The `Link` header leads on from ' +
          'the last one, also when there are no more yet: whoever asks there later gets the new ones.',
        tags: [CUSTOMERS_TAG.name],
        headers: listRequestHeadersSchema,
        querystring: customerQuerySchema,
        response: {
          ...commonErrors,
          ...listAnswers('The customers.', customerSchema, headers),
          422: answer('The cursor or the limit is none.', validationErrorSchema),
        },
      },
    },
    async (request, reply) => {
      const { after, limit } = request.query;
      const from = after === undefined ? 0 : positionOf(after, records);
      const to = Math.min(records.length, from + (limit ?? Number.POSITIVE_INFINITY));
      const next = new URLSearchParams({ after: cursorAt(records.epoch, to) });
      if (limit !== undefined) next.set('limit', String(limit));
      // Relative to the request URL: behind a gateway, the public path may be longer than the one seen
      // here.
      reply.header('link', `<?${next}>; rel="next"`);
      return sendList(request, reply, records.slice(from, to));
    },
  );

  return app;
}
