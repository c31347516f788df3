/** The variables of the flow. Light: it is loaded while the flow is off, too. */
import { group, httpUrlSchema, seconds } from 'service-kit/environment';
import { z } from 'zod';
import { deliveryEnvironment, pollingEnvironment } from '../delivery/environment.ts';
import { httpEnvironment } from '../http/environment.ts';
import { crmEnvironment } from '../systems/environment.ts';

const ownEnvironment = group('customer-sync', {
  CUSTOMER_SYNC_URL: httpUrlSchema
    .optional()
    .describe('Where the CRM keeps [the customers of the shop](customer-sync.md).')
    .meta({ example: 'http://localhost:8000/api/crm/customers', secret: true }),
  SYNC_COMPARE_SECONDS: seconds()
    .prefault('60')
    .describe('How often the customers of the CRM are compared with those of the shop.'),
  RETRY_INTERVAL_SECONDS: seconds()
    .prefault('60')
    .describe('The longest time from one attempt to the next.'),
});

export const customerSyncEnvironment = z.object({
  ...ownEnvironment.shape,
  ...crmEnvironment.pick({ CRM_API_HOST: true, CRM_API_PORT: true }).shape,
  ...pollingEnvironment.pick({ SWEEP_INTERVAL_SECONDS: true }).shape,
  ...httpEnvironment.pick({ MAX_RESPONSE_MEGABYTES: true }).shape,
  ...deliveryEnvironment.pick({ DELIVERY_CONCURRENCY: true, MAX_ATTEMPTS: true }).shape,
});

export type CustomerSyncSettings = z.output<typeof customerSyncEnvironment>;
