import { createLogger } from 'service-kit/logger';
import { createMetrics } from 'service-kit/operations';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { createEventQueue } from './events/event-queue.ts';
import { createEventMetrics } from './events/metrics.ts';
import { createRabbitmqPublisher } from './events/rabbitmq-publisher.ts';
import { createWebhookPublisher } from './events/webhook-publisher.ts';

/** Wires the parts of the service, listens, and answers requests until the first stop signal. */
export async function runService(config: Config): Promise<void> {
  const log = createLogger({ name: 'crm-api', ...config.log });
  for (const { warning } of config.misspelt) log.warn(warning);
  const metrics = createMetrics();
  const { events } = config;
  const eventQueue =
    events &&
    createEventQueue({
      publisher:
        events.kind === 'webhook'
          ? createWebhookPublisher({ ...events, now: Date.now })
          : createRabbitmqPublisher({ ...events, log }),
      metrics: createEventMetrics(metrics),
      log,
      random: Math.random,
    });
  const app = await buildApp({ log, metrics, onEvent: eventQueue?.add });
  await serve({
    app,
    log,
    host: config.host,
    port: config.port,
    portVariable: 'CRM_API_PORT',
    stop: eventQueue?.close,
  });
}
