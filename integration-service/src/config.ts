import { isWebhookUrl, parseEnvironment } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { baseEnvironment } from './environment.ts';
import { flowsByDefault, flowsSchema } from './flows.ts';

export const environmentSchema = baseEnvironment.extend({ FLOWS: flowsSchema.optional() });

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
