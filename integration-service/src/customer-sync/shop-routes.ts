/** `/api/customers`: the shop's own customers. */
import { answer, bodyErrors, errorAnswer } from 'service-kit/answers';
import type { HttpService } from 'service-kit/http-service';
import { strictObject } from 'service-kit/validation';
import { z } from 'zod';
import { noQuerySchema } from '../delivery/routes/delivery-schemas.ts';
import { createGuarded, type GuardedOptions } from '../delivery/routes/guarded.ts';
import { linkSchema, nextPage, pagingFields } from '../delivery/routes/paging.ts';
import { customerInputSchema, customerPathSchema, customerSchema } from './customer.ts';
import { ifMatchSchema, preconditionOf } from './if-match.ts';
import type { Shop } from './shop.ts';

export const SHOP_TAG = {
  name: 'shop',
  description: 'The customers of the shop. The CRM follows each change.',
};

const PATH = '/api/customers';

const etag = z.string().meta({ description: 'The version, for `If-Match`.', examples: ['"1"'] });
const found = { ...answer('The customer.', customerSchema), headers: { ETag: etag } };
const notThere = errorAnswer(
  'There is no such customer.',
  "There is no customer '26903934-a784-469e-a61d-14023f521250'.",
);
const emailTaken = errorAnswer(
  'Another customer has the e-mail address.',
  "Customer with email 'jane.doe@example.com' already exists.",
);
const otherVersion = errorAnswer(
  'The customer has none of the versions of `If-Match`.',
  'The customer has version 2.',
);

export function addShopRoutes(app: HttpService, shop: Shop, options: GuardedOptions): void {
  const guarded = createGuarded({ ...options, tag: SHOP_TAG.name });

  app.post(
    PATH,
    guarded({
      operationId: 'createCustomer',
      summary: 'Create a customer',
      querystring: noQuerySchema,
      body: customerInputSchema,
      response: {
        ...bodyErrors,
        201: {
          ...answer('The customer is stored, and its delivery to the CRM with it.', customerSchema),
          headers: {
            ETag: etag,
            Location: z.string().meta({
              description: 'Where the customer is.',
              examples: [`${PATH}/26903934-a784-469e-a61d-14023f521250`],
            }),
          },
        },
        409: emailTaken,
      },
    }),
    async ({ body }, reply) => {
      const customer = await shop.create(body);
      reply.headers({ etag: etagOf(customer), location: `${PATH}/${customer.id}` });
      return reply.code(201).send(customer);
    },
  );

  app.get(
    PATH,
    guarded({
      operationId: 'listCustomers',
      summary: 'List customers',
      description: 'In order of creation. The `Link` header leads to the next page.',
      querystring: strictObject(pagingFields),
      response: {
        200: {
          ...answer('The customers.', z.array(customerSchema)),
          headers: { Link: linkSchema },
        },
      },
    }),
    async ({ query: { limit, cursor }, url }, reply) => {
      const found = await shop.list(limit + 1, cursor);
      const page = found.slice(0, limit);
      if (found.length > limit) reply.header('link', nextPage(url, page.at(-1)?.number));
      return page.map(({ customer }) => customer);
    },
  );

  app.get(
    `${PATH}/:id`,
    guarded({
      operationId: 'getCustomer',
      summary: 'One customer',
      querystring: noQuerySchema,
      params: customerPathSchema,
      response: { 200: found, 404: notThere },
    }),
    async ({ params: { id } }, reply) => {
      const customer = await shop.get(id);
      return reply.header('etag', etagOf(customer)).send(customer);
    },
  );

  app.put(
    `${PATH}/:id`,
    guarded({
      operationId: 'replaceCustomer',
      summary: 'Replace a customer',
      description:
        'Takes the whole customer: what is left out is gone. What changes nothing raises no version, and nothing is sent.',
      querystring: noQuerySchema,
      params: customerPathSchema,
      headers: ifMatchSchema,
      body: customerInputSchema,
      response: {
        ...bodyErrors,
        200: found,
        404: notThere,
        409: emailTaken,
        412: otherVersion,
      },
    }),
    async ({ params: { id }, headers, body }, reply) => {
      const customer = await shop.replace(id, body, preconditionOf(headers));
      return reply.header('etag', etagOf(customer)).send(customer);
    },
  );

  app.delete(
    `${PATH}/:id`,
    guarded({
      operationId: 'deleteCustomer',
      summary: 'Delete a customer',
      description:
        'What was not sent yet about the customer, in any flow, never is. When the CRM has deleted the customer, too, the ledger keeps no personal data of it.',
      querystring: noQuerySchema,
      params: customerPathSchema,
      headers: ifMatchSchema,
      response: {
        204: { description: 'The customer is deleted.', content: {} },
        404: notThere,
        412: otherVersion,
      },
    }),
    async ({ params: { id }, headers }, reply) => {
      await shop.remove(id, preconditionOf(headers));
      return reply.code(204).send();
    },
  );
}

function etagOf({ version }: { version: number }): string {
  return `"${version}"`;
}
