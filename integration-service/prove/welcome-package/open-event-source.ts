import type { EventSourceName } from '../source-name.ts';
import type { EventSource, EventSourceOptions } from './event-source.ts';
import { openRabbitmqSource } from './rabbitmq-source.ts';
import { openWebhookSource } from './webhook-source.ts';

export function openEventSource(
  name: EventSourceName,
  options: EventSourceOptions,
): Promise<EventSource> {
  return name === 'webhook' ? openWebhookSource(options) : openRabbitmqSource(options);
}
