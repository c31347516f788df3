import { isWebhookUrl } from 'service-kit/environment';
import { createLogger } from 'service-kit/logger';
import { createMetrics } from 'service-kit/operations';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { createEventQueue } from './events/event-queue.ts';
import { createRabbitmqPublisher } from './events/rabbitmq-publisher.ts';
import { createWebhookPublisher } from './events/webhook-publisher.ts';

/** Wires the parts of the service, listens, and answers requests until the first stop signal. */
export async function runService(config: Config): Promise<void> {
  const { LOG_LEVEL: level, LOG_FORMAT: format } = config;
  const log = createLogger({ name: 'crm-api', level, format });
  for (const { warning } of config.misspelt) log.warn(warning);
  const metrics = createMetrics();
  const { CRM_EVENTS_URL: url, WEBHOOK_SECRET: secrets = [] } = config;
  const eventQueue =
    url &&
    createEventQueue({
      publisher: isWebhookUrl(url)
        ? createWebhookPublisher({ url, secrets, now: Date.now })
        : createRabbitmqPublisher({ url, log }),
      ...{ metrics, log, random: Math.random },
    });
  const app = await buildApp({ log, metrics, onEvent: eventQueue?.add });
  await serve({
    app,
    log,
    host: config.CRM_API_HOST,
    port: config.CRM_API_PORT,
    portVariable: 'CRM_API_PORT',
    stop: eventQueue?.close,
  });
}
