import {
  answer,
  bodyErrors,
  commonErrors,
  errorAnswer,
  validationErrorSchema,
} from 'service-kit/answers';
import type { HttpService } from 'service-kit/http-service';
import { listRequestHeadersSchema } from 'service-kit/json-list';
import type { Logger } from 'service-kit/logger';
import { InvalidRequestError } from 'service-kit/validation';
import {
  type CrmCustomerWrite,
  crmCustomerPathSchema,
  crmCustomerSchema,
  crmCustomerWriteSchema,
  removalQuerySchema,
  staleSchema,
} from './crm-customer.ts';
import { customerQuerySchema } from './customer.ts';
import { type CustomerEvent, customerDeleted, customerWritten } from './customer-event.ts';
import { PAGE_DESCRIPTION, pageAnswers, sendPreparedPage } from './customer-page.ts';
import type { CustomerStore } from './customer-store.ts';
import { CRM_TAG } from './documentation.ts';

const PATH = '/api/crm/customers';
const GUARD =
  'A version that is lower than what is held, or equal with other content, changes nothing (412). Without a ' +
  'version, the customer is written as it is, and the version stays.';

const tags = [CRM_TAG.name];
const stale = answer(
  'The CRM has a later version, or another customer at this version.',
  staleSchema,
);
const writeAnswers = {
  ...commonErrors,
  ...bodyErrors,
  200: answer('The customer is held as it came.', crmCustomerSchema),
  201: answer('The customer is new.', crmCustomerSchema),
  412: stale,
};
const pathErrors = {
  ...commonErrors,
  422: answer('The id is no UUID.', validationErrorSchema),
};

export interface CrmRoutesOptions {
  store: CustomerStore;
  log: Logger;
  onEvent: ((event: CustomerEvent) => void) | undefined;
}

/** Adds the routes by which other systems keep the customers of the CRM up to date. */
export function addCrmRoutes(app: HttpService, { store, log, onEvent }: CrmRoutesOptions): void {
  /** What `write` comes to, as status and body. */
  function write(input: CrmCustomerWrite) {
    const written = store.write(input);
    if (written.kind === 'stale') return staleAnswer(written.version);
    const { kind, customer } = written;
    if (kind !== 'unchanged') {
      onEvent?.(customerWritten(kind === 'created' ? 'CREATE' : 'UPDATE', customer));
      const what = kind === 'created' ? 'Added new' : 'Updated';
      log.info(`CRM_API: ${what} customer: ${customer.name} (${customer.id})`);
    }
    return { status: kind === 'created' ? 201 : 200, body: customer } as const;
  }

  app.post(
    PATH,
    {
      schema: {
        operationId: 'writeCrmCustomer',
        summary: 'Create or replace a customer',
        description: `Creates a customer, with a new id if there is none, or replaces the one with this id. ${GUARD}`,
        tags,
        body: crmCustomerWriteSchema,
        response: writeAnswers,
      },
    },
    async (request, reply) => {
      const { status, body } = write(request.body);
      return reply.code(status).send(body);
    },
  );

  app.put(
    `${PATH}/:id`,
    {
      schema: {
        operationId: 'putCrmCustomer',
        summary: 'Create or replace the customer with this id',
        description: GUARD,
        tags,
        params: crmCustomerPathSchema,
        body: crmCustomerWriteSchema,
        response: writeAnswers,
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { id: given = id } = request.body;
      if (given !== id) throw otherId(given);
      const { status, body } = write({ ...request.body, id });
      return reply.code(status).send(body);
    },
  );

  app.get(
    PATH,
    {
      schema: {
        operationId: 'listCrmCustomers',
        summary: 'List customers, with all that is held',
        description: PAGE_DESCRIPTION,
        tags,
        headers: listRequestHeadersSchema,
        querystring: customerQuerySchema,
        response: { ...commonErrors, ...pageAnswers(crmCustomerSchema) },
      },
    },
    async (request, reply) => sendPreparedPage(request, reply, store.crmCustomers),
  );

  app.get(
    `${PATH}/:id`,
    {
      schema: {
        operationId: 'getCrmCustomer',
        summary: 'One customer, with all that is held',
        tags,
        params: crmCustomerPathSchema,
        response: {
          ...pathErrors,
          200: answer('The customer.', crmCustomerSchema),
          404: errorAnswer('There is no such customer, or no longer.', noCustomer('…').detail),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const customer = store.get(id);
      return customer ? reply.send(customer) : reply.code(404).send(noCustomer(id));
    },
  );

  app.delete(
    `${PATH}/:id`,
    {
      schema: {
        operationId: 'deleteCrmCustomer',
        summary: 'Delete a customer',
        description:
          'Also the deletion of a customer whom the CRM does not have is remembered, so that no late request of an ' +
          'earlier version brings the customer back.',
        tags,
        params: crmCustomerPathSchema,
        querystring: removalQuerySchema,
        response: {
          ...pathErrors,
          204: { description: 'The customer is not there, or no longer.', content: {} },
          412: stale,
          422: answer('The id is no UUID, or the version is none.', validationErrorSchema),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const removed = store.remove(id, request.query.version);
      if (removed.kind === 'stale') {
        const { status, body } = staleAnswer(removed.version);
        return reply.code(status).send(body);
      }
      if (removed.kind === 'removed') {
        onEvent?.(customerDeleted(id, removed.version));
        log.info(`CRM_API: Deleted customer: ${id}`);
      }
      return reply.code(204).send();
    },
  );
}

function staleAnswer(version: number) {
  const detail = `The CRM has version ${version} of this customer.`;
  return { status: 412, body: { detail, version } } as const;
}

function noCustomer(id: string) {
  return { detail: `There is no customer '${id}'.` };
}

function otherId(input: string): InvalidRequestError {
  const msg = 'Input should be the id of the path, or nothing';
  return new InvalidRequestError([{ type: 'value_error', loc: ['body', 'id'], msg, input }]);
}
