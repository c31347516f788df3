import { createLogger } from 'service-kit/logger';
import { warnOfMisspelt } from 'service-kit/misspelt';
import { createMetrics } from 'service-kit/operations';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { createEventQueue } from './events/event-queue.ts';
import { createEventMetrics } from './events/metrics.ts';
import { createPublisher } from './events/publishers.ts';

/** Wires the parts of the service, listens, and answers requests until the first stop signal. */
export async function runService(config: Config): Promise<void> {
  const log = createLogger({ name: 'crm-api', level: config.LOG_LEVEL, format: config.LOG_FORMAT });
  warnOfMisspelt(log, config.misspelt);
  const metrics = createMetrics();
  const eventQueue =
    config.events &&
    createEventQueue({
      publisher: createPublisher(config.events, log),
      metrics: createEventMetrics(metrics),
      log,
      random: Math.random,
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
