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

export type Config = ReturnType<typeof parseConfig>;

/**
 * The values of the variables, and `misspelt`: names that are not known.
 *
 * @throws {EnvironmentError} with every problem of the environment
 */
export function parseConfig(env: NodeJS.ProcessEnv) {
  const values = parseEnvironment(environmentSchema, env);
  const { CRM_EVENTS_URL: url, WEBHOOK_SECRET: secrets } = values;
  if (url && isWebhookUrl(url) && !secrets) {
    throw new EnvironmentError([
      `WEBHOOK_SECRET must be set, because CRM_EVENTS_URL is a webhook, and webhooks are signed. To make one: ${MAKE_SECRET}`,
    ]);
  }
  return { ...values, misspelt: findMisspelt(environmentSchema, env) };
}
