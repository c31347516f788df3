import {
  hostSchema,
  httpUrlSchema,
  logEnvironment,
  megabytesAsBytes,
  parseEnvironment,
  portSchema,
  secondsAsMs,
  wholeNumber,
} from 'service-kit/environment';
import { z } from 'zod';

export const environmentSchema = z.object({
  INTEGRATION_SERVICE_HOST: hostSchema.default('127.0.0.1'),
  INTEGRATION_SERVICE_PORT: portSchema.default(8002),
  // Read for the defaults of the two URLs, so that moving an API moves its reader along.
  CRM_API_HOST: hostSchema.default('127.0.0.1'),
  CRM_API_PORT: portSchema.default(8000),
  INVENTORY_API_HOST: hostSchema.default('127.0.0.1'),
  INVENTORY_API_PORT: portSchema.default(8001),
  // Secrets, because a URL may carry a password.
  CRM_API_URL: httpUrlSchema.optional().meta({ secret: true }),
  INVENTORY_API_URL: httpUrlSchema.optional().meta({ secret: true }),
  POLLING_INTERVAL_SECONDS: secondsAsMs().default(10_000),
  MAX_RETRIES: wholeNumber(1, 1_000).default(3),
  RETRY_DELAY_SECONDS: secondsAsMs({ zeroAllowed: true }).default(5_000),
  REQUEST_TIMEOUT_SECONDS: secondsAsMs().default(5_000),
  // V8 holds no string of more than 2^29 - 24 characters.
  MAX_RESPONSE_MEGABYTES: megabytesAsBytes(512).default(256_000_000),
  DELIVERY_CONCURRENCY: wholeNumber(1, 1_000).default(16),
  ...logEnvironment,
});

export type Config = ReturnType<typeof parseConfig>;

/** @throws {EnvironmentError} with every problem of the environment */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  return {
    host: values.INTEGRATION_SERVICE_HOST,
    port: values.INTEGRATION_SERVICE_PORT,
    crmUrl: values.CRM_API_URL ?? urlOf(values.CRM_API_HOST, values.CRM_API_PORT, '/customers'),
    inventoryUrl:
      values.INVENTORY_API_URL ??
      urlOf(values.INVENTORY_API_HOST, values.INVENTORY_API_PORT, '/package-requests'),
    pollingIntervalMs: values.POLLING_INTERVAL_SECONDS,
    /** Attempts of one poll in all, the first one counted. */
    maxRetries: values.MAX_RETRIES,
    retryDelayMs: values.RETRY_DELAY_SECONDS,
    requestTimeoutMs: values.REQUEST_TIMEOUT_SECONDS,
    maxResponseBytes: values.MAX_RESPONSE_MEGABYTES,
    deliveryConcurrency: values.DELIVERY_CONCURRENCY,
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
  };
}

/** Where to reach what listens on this host: an address that stands for all of them is none to call. */
function urlOf(host: string, port: number, path: string): URL {
  const name = ['127.0.0.1', '0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return new URL(path, `http://${name.includes(':') ? `[${name}]` : name}:${port}`);
}
