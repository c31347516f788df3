import type { DocumentedWebhook } from 'service-kit/open-api';
import { webhookHeaders } from 'service-kit/webhook-signature';
import { customerEventSchema } from './customer-event.ts';

export const CUSTOMERS_TAG = { name: 'customers', description: 'Create and list customers.' };
export const CRM_TAG = {
  name: 'crm',
  description: 'The same customers, kept up to date by another system.',
};

export const CUSTOMER_WEBHOOK: DocumentedWebhook = {
  operationId: 'onCustomerEvent',
  summary: 'Something happened to a customer',
  description:
    'Sent to `CRM_EVENTS_URL`, if there is one, signed with `WEBHOOK_SECRET` by Standard Webhooks 1.0.0. When that is ' +
    'an `amqp:` URL, the same body is published to the topic exchange `crm.customers` instead, with ' +
    '`customer.create`, `customer.update` or `customer.delete` as its routing key. What is not taken is sent again, with the same id, until it is; ' +
    'the events of one customer come in their order.',
  tags: [CUSTOMERS_TAG.name],
  headers: webhookHeaders,
  body: customerEventSchema,
  responses: {
    '2XX': 'The subscriber has the event. It is not sent again.',
    400: 'The subscriber cannot use this event (also 409, 413, 415, 422). It is sent again, less and less often, and others go on.',
    410: 'The subscriber wants no more events. None is sent until a restart.',
    default:
      'The subscriber takes nothing now. It is asked again, after `Retry-After` if there is one.',
  },
};
