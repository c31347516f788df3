import {
  eventsUrlSchema,
  hostNamesSchema,
  hostSchema,
  httpUrlSchema,
  logEnvironment,
  megabytesAsBytes,
  portSchema,
  secondsAsMs,
  wholeNumber,
} from 'service-kit/environment';
import { webhookSecretsSchema } from 'service-kit/webhook-signature';
import { z } from 'zod';
import { ledgerUrlSchema } from './delivery/ledger/ledger-url.ts';

/** The variables of the service, but for `FLOWS`. */
export const baseEnvironment = z.object({
  INTEGRATION_SERVICE_HOST: hostSchema.default('127.0.0.1'),
  INTEGRATION_SERVICE_PORT: portSchema.default(8002),
  // They make up the defaults of the two URLs: a variable that moves an API also moves its client.
  CRM_API_HOST: hostSchema.default('127.0.0.1'),
  CRM_API_PORT: portSchema.default(8000),
  INVENTORY_API_HOST: hostSchema.default('127.0.0.1'),
  INVENTORY_API_PORT: portSchema.default(8001),
  // Secrets, because a URL may carry a password.
  CRM_API_URL: httpUrlSchema.optional().meta({ secret: true }),
  INVENTORY_API_URL: httpUrlSchema.optional().meta({ secret: true }),
  CRM_EVENTS_URL: eventsUrlSchema
    .optional()
    .meta({ secret: true, formerly: 'CUSTOMER_EVENTS_URL' }),
  WEBHOOK_SECRET: webhookSecretsSchema.optional().meta({ secret: true }),
  POLLING_INTERVAL_SECONDS: secondsAsMs().default(10_000),
  SWEEP_INTERVAL_SECONDS: secondsAsMs().default(3_600_000),
  MAX_RETRIES: wholeNumber(1, 1_000).default(3),
  RETRY_DELAY_SECONDS: secondsAsMs({ zeroAllowed: true }).default(5_000),
  REQUEST_TIMEOUT_SECONDS: secondsAsMs().default(5_000),
  // A string in V8 has at most 2^29 - 24 characters.
  MAX_RESPONSE_MEGABYTES: megabytesAsBytes(512).default(256_000_000),
  // A secret, because it may carry the password of a database.
  LEDGER_URL: ledgerUrlSchema
    .default({ kind: 'sqlite', path: './data/ledger.sqlite' })
    .meta({ secret: true }),
  DELIVERY_CONCURRENCY: wholeNumber(1, 1_000).default(16),
  MAX_ATTEMPTS: wholeNumber(1, 1_000_000).default(25),
  SURGE_LIMIT: wholeNumber(1, 1_000_000_000).optional(),
  ADMIN_TOKEN: z
    .string()
    // Every client can send these characters in a header.
    .regex(
      /^[!-~]{8,}$/,
      'must have 8 or more characters, all of them printable ASCII and no blank',
    )
    .optional()
    .meta({ secret: true }),
  ALLOWED_HOSTS: hostNamesSchema.default([]),
  ...logEnvironment,
});
