import {
  eventsUrlSchema,
  hostNamesSchema,
  hostSchema,
  httpUrlSchema,
  isWebhookUrl,
  logEnvironment,
  megabytesAsBytes,
  parseEnvironment,
  portSchema,
  secondsAsMs,
  wholeNumber,
} from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { webhookSecretsSchema } from 'service-kit/webhook-signature';
import { z } from 'zod';
import { ledgerUrlSchema } from './delivery/ledger/ledger-url.ts';
import { flowsByDefault, flowsSchema } from './flows.ts';

export const environmentSchema = z.object({
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
  FLOWS: flowsSchema.optional(),
  ...logEnvironment,
});

export type Config = ReturnType<typeof parseConfig>;

/** @throws {EnvironmentError} with every problem of the environment */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  const { CRM_EVENTS_URL: eventsUrl, CRM_API_URL, INVENTORY_API_URL } = values;
  return {
    host: values.INTEGRATION_SERVICE_HOST,
    port: values.INTEGRATION_SERVICE_PORT,
    crmUrl: values.CRM_API_URL ?? urlOf(values.CRM_API_HOST, values.CRM_API_PORT, '/customers'),
    inventoryUrl:
      values.INVENTORY_API_URL ??
      urlOf(values.INVENTORY_API_HOST, values.INVENTORY_API_PORT, '/package-requests'),
    /** Where customer events are consumed; `undefined` for a webhook URL: webhooks are sent to us. */
    rabbitmqUrl: eventsUrl && !isWebhookUrl(eventsUrl) ? eventsUrl : undefined,
    /** A webhook must be signed with one of them; without any, the service takes no webhooks. */
    webhookSecrets: values.WEBHOOK_SECRET,
    pollingIntervalMs: values.POLLING_INTERVAL_SECONDS,
    /** How often the whole list is read, even if polls can read only what is new. */
    sweepIntervalMs: values.SWEEP_INTERVAL_SECONDS,
    /** Attempts to read a page of the list, the first one counted. */
    maxRetries: values.MAX_RETRIES,
    retryDelayMs: values.RETRY_DELAY_SECONDS,
    requestTimeoutMs: values.REQUEST_TIMEOUT_SECONDS,
    maxResponseBytes: values.MAX_RESPONSE_MEGABYTES,
    ledger: values.LEDGER_URL,
    deliveryConcurrency: values.DELIVERY_CONCURRENCY,
    /** Attempts of one delivery before it is dead. */
    maxAttempts: values.MAX_ATTEMPTS,
    /** More new customers than this in one poll are held. */
    surgeLimit: values.SURGE_LIMIT,
    /** The token that the delivery routes require; without it, they are open. */
    adminToken: values.ADMIN_TOKEN,
    /** More host names with a dot by which those routes may be called without a token. */
    allowedHosts: values.ALLOWED_HOSTS,
    /** The flows that are switched on. */
    flows: values.FLOWS ?? flowsByDefault(Boolean(CRM_API_URL ?? INVENTORY_API_URL)),
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
    /** Unknown variables whose names resemble a known one. */
    misspelt: findMisspelt(environmentSchema, env),
  };
}

/** The URL of a server on this host. A wildcard address cannot be called: it becomes `localhost`. */
function urlOf(host: string, port: number, path: string): URL {
  const name = ['127.0.0.1', '0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return new URL(path, `http://${name.includes(':') ? `[${name}]` : name}:${port}`);
}
