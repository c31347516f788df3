import {
  EnvironmentError,
  eventsUrlSchema,
  hostSchema,
  isWebhookUrl,
  logEnvironment,
  parseEnvironment,
  portSchema,
} from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { MAKE_SECRET, webhookSecretsSchema } from 'service-kit/webhook-signature';
import { z } from 'zod';

export const environmentSchema = z.object({
  CRM_API_HOST: hostSchema.default('127.0.0.1'),
  CRM_API_PORT: portSchema.default(8000),
  // Secret, because the URL may contain a password.
  CRM_EVENTS_URL: eventsUrlSchema
    .optional()
    .meta({ secret: true, formerly: 'CUSTOMER_EVENTS_URL' }),
  WEBHOOK_SECRET: webhookSecretsSchema.optional().meta({ secret: true }),
  ...logEnvironment,
});

/** Where events go. `secrets` sign webhooks; the first is the current one. */
export type EventsConfig =
  | { kind: 'webhook'; url: URL; secrets: Buffer[] }
  | { kind: 'rabbitmq'; url: URL };

export type Config = ReturnType<typeof parseConfig>;

/** @throws {EnvironmentError} with every problem of the environment */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  return {
    host: values.CRM_API_HOST,
    port: values.CRM_API_PORT,
    /** If undefined, no events are sent. */
    events: values.CRM_EVENTS_URL && eventsConfig(values.CRM_EVENTS_URL, values),
    log: { level: values.LOG_LEVEL, format: values.LOG_FORMAT },
    /** Unknown variables whose names are close to known ones. */
    misspelt: findMisspelt(environmentSchema, env),
  };
}

function eventsConfig(
  url: URL,
  { WEBHOOK_SECRET: secrets }: z.output<typeof environmentSchema>,
): EventsConfig {
  if (!isWebhookUrl(url)) return { kind: 'rabbitmq', url };
  if (secrets) return { kind: 'webhook', url, secrets };
  throw new EnvironmentError([
    `WEBHOOK_SECRET must be set, because CRM_EVENTS_URL is a webhook, and webhooks are signed. To make one: ${MAKE_SECRET}`,
  ]);
}
