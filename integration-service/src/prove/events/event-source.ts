import { openRabbitmqSource } from './rabbitmq-source.ts';
import type { EventSourceName } from './source-name.ts';
import { openWebhookSource } from './webhook-source.ts';

/** The way of events from a CRM to the service, on which they can be disturbed. */
export interface EventSource extends AsyncDisposable {
  /** Environment with which crm-api sends them. */
  crmEnv: Record<string, string>;
  /** Environment with which integration-service takes them. */
  serviceEnv: Record<string, string>;
  /** What is done to it, one after the other. Each needs events that come. */
  disturbances: Disturbance[];
}

export interface Disturbance {
  kind: 'cut' | 'restart';
  /** Resolves when it has happened and what was stopped works again. */
  run(): Promise<void>;
}

export interface EventSourceOptions {
  /** Where processes of the service listen now. */
  serviceUrls: () => string[];
  /** From 0 to below 1. */
  random: () => number;
  signal: AbortSignal;
}

export function openEventSource(
  name: EventSourceName,
  options: EventSourceOptions,
): Promise<EventSource> {
  return name === 'webhook' ? openWebhookSource(options) : openRabbitmqSource(options);
}
