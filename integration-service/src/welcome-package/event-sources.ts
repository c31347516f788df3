import type { Config } from '../config.ts';
import type { EventMetrics } from '../metrics.ts';
import { createIntake, type Intake, type IntakeOptions } from './intake.ts';
import { type ConsumerOptions, createRabbitmqConsumer } from './rabbitmq-consumer.ts';
import type { WebhookRouteOptions } from './webhook-route.ts';

type Context = Pick<IntakeOptions, 'sight' | 'ledger' | 'log'> &
  Pick<ConsumerOptions, 'random'> & { metrics: EventMetrics };

/** The sources that tell of customers by themselves. */
export interface EventSources {
  /** For the route of webhooks; `undefined` when it is not to be. */
  webhookRoute: Pick<WebhookRouteOptions, 'secrets' | 'intake' | 'metrics'> | undefined;
  /** Why customers are not heard of by themselves; `undefined` when they are, or nobody asked for that. */
  problem(): string | undefined;
  /** Takes nothing more. What was taken is in the ledger when this resolves. */
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
    // As many as a poll may bring, in the time of one.
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
      // Messages that wait for the ledger are given back first.
      await consumer?.close();
      await Promise.all(intakes.map((intake) => intake.close()));
    },
  };
}
