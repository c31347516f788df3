/** The variables of the flow. Light: it is loaded while the flow is off, too. */
import { group, httpUrlSchema, seconds, wholeNumber } from 'service-kit/environment';
import { z } from 'zod';
import { pollingEnvironment } from '../delivery/environment.ts';
import { httpEnvironment } from '../http/environment.ts';
import { crmEnvironment, inventoryEnvironment } from '../systems/environment.ts';

const ownEnvironment = group('analytics', {
  ANALYTICS_FOLDER: z
    .string()
    .min(1)
    .prefault('../analytics')
    .describe('Where the [CSV files](analytics.md) are; from the folder of the service.'),
  ANALYTICS_PRODUCTS_URL: httpUrlSchema
    .optional()
    .describe('The list of products of your own inventory.')
    .meta({ example: 'http://localhost:8001/products', secret: true }),
  ANALYTICS_INTERVAL_SECONDS: seconds()
    .prefault('60')
    .describe('How often the lists are read, if they have changed.'),
  ANALYTICS_MAX_RETRIES: wholeNumber(1, 100)
    .prefault('3')
    .describe('Attempts to read the lists before the next interval.'),
  ANALYTICS_RETRY_SECONDS: seconds({ zeroAllowed: true })
    .prefault('2')
    .describe('The wait before the second attempt; it doubles each time.'),
  ANALYTICS_BATCH_SIZE: wholeNumber(1, 5_000)
    .prefault('10')
    .describe('So many rows are written at once,'),
  ANALYTICS_BATCH_SECONDS: seconds({ zeroAllowed: true })
    .prefault('30')
    .describe('or fewer, when the oldest has waited for so long.'),
});

export const analyticsEnvironment = z.object({
  ...ownEnvironment.shape,
  ...crmEnvironment.shape,
  ...inventoryEnvironment.shape,
  ...pollingEnvironment.pick({ SWEEP_INTERVAL_SECONDS: true }).shape,
  ...httpEnvironment.pick({ MAX_RESPONSE_MEGABYTES: true }).shape,
});

export type AnalyticsSettings = z.output<typeof analyticsEnvironment>;
