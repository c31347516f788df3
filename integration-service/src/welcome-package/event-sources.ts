import type { Config } from '../config.ts';
import { createIntake, type Intake, type IntakeOptions } from '../delivery/ingest/intake.ts';
import type { EventMetrics } from '../delivery/ingest/metrics.ts';
import { type ConsumerOptions, createRabbitmqConsumer } from '../messaging/rabbitmq-consumer.ts';
import type { WebhookRouteOptions } from './webhook-route.ts';

type Context = Pick<IntakeOptions, 'sight' | 'log'> &
  Pick<ConsumerOptions, 'random'> & { metrics: EventMetrics };

/** The sources that push customer events to this service. */
export interface EventSources {
  /** The options of the webhook route; `undefined` when the service takes no webhooks. */
  webhookRoute: Pick<WebhookRouteOptions, 'secrets' | 'intake' | 'metrics'> | undefined;
  /** Why no events arrive; `undefined` when they do, or when no source that can fail is configured. */
  problem(): string | undefined;
  /** Takes no more events. When this resolves, each event taken is committed or has failed. */
  close(): Promise<void>;
}

/** Opens the sources that the configuration asks for. */
export function openEventSources(
  config: Pick<Config, 'webhookSecrets' | 'rabbitmqUrl' | 'surgeLimit' | 'pollingIntervalMs'>,
  context: Context,
): EventSources {
  const { webhookSecrets: secrets, rabbitmqUrl: url, surgeLimit, pollingIntervalMs } = config;
  const { metrics } = context;
  const intakes: Intake[] = [];

  function openIntake(source: string): Intake {
    metrics.add(source);
    // As many new customers per polling interval as one poll may bring.
    const limits = { surgeLimit, surgeWindowMs: pollingIntervalMs };
    const intake = createIntake({ ...context, source, ...limits });
    intakes.push(intake);
    return intake;
  }

  const webhookRoute = secrets && { secrets, intake: openIntake('webhook'), metrics };
  const consumer =
    url && createRabbitmqConsumer({ ...context, url, intake: openIntake('rabbitmq') });
  return {
    webhookRoute,
    problem: () => consumer?.problem(),
    async close() {
      // First, messages that wait for the ledger go back to the queue.
      await consumer?.close();
      await Promise.all(intakes.map((intake) => intake.close()));
    },
  };
}
