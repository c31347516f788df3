import { EnvironmentError, isWebhookUrl, parseEnvironment } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { crmApiEnvironment, eventsEnvironment, logEnvironment } from 'service-kit/shared-variables';
import { MAKE_SECRET } from 'service-kit/webhook-signature';
import { z } from 'zod';

export const environmentSchema = z.object({
  ...crmApiEnvironment.shape,
  ...eventsEnvironment.shape,
  ...logEnvironment.shape,
});

/** Where events go. `secrets` sign webhooks; the first is the current one. */
export type EventsConfig =
  | { kind: 'webhook'; url: URL; secrets: Buffer[] }
  | { kind: 'rabbitmq'; url: URL };

export type Config = ReturnType<typeof parseConfig>;

/**
 * The values of the variables, and `misspelt`: names that are not known. Without `events`, none are sent.
 *
 * @throws {EnvironmentError} with every problem of the environment
 */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const { CRM_EVENTS_URL, WEBHOOK_SECRET, ...own } = parseEnvironment(environmentSchema, env);
  const events = CRM_EVENTS_URL && eventsConfig(CRM_EVENTS_URL, WEBHOOK_SECRET);
  return { ...own, events, misspelt: findMisspelt(environmentSchema, env) };
}

function eventsConfig(url: URL, secrets: Buffer[] | undefined): EventsConfig {
  if (!isWebhookUrl(url)) return { kind: 'rabbitmq', url };
  if (secrets) return { kind: 'webhook', url, secrets };
  throw new EnvironmentError([
    `WEBHOOK_SECRET must be set, because CRM_EVENTS_URL is a webhook, and webhooks are signed. To make one: ${MAKE_SECRET}`,
  ]);
}
