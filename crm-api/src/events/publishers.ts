import type { Logger } from 'service-kit/logger';
import type { EventsConfig } from '../config.ts';
import type { Publisher } from './publisher.ts';
import { createRabbitmqPublisher } from './rabbitmq-publisher.ts';
import { createWebhookPublisher } from './webhook-publisher.ts';

/** Creates the publisher for the subscriber that the configuration names. */
export function createPublisher(config: EventsConfig, log: Logger): Publisher {
  return config.kind === 'webhook'
    ? createWebhookPublisher({ ...config, now: Date.now })
    : createRabbitmqPublisher({ ...config, log });
}
