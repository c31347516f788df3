/** Each new customer of the CRM gets one welcome package from the inventory, once in its life. */
import { isWebhookUrl } from 'service-kit/environment';
import { CUSTOMER_EXCHANGE } from 'service-kit/rabbitmq';
import type { Item } from '../delivery/delivery.ts';
import { type Flow, ONE_BY_ONE, type PolledSource, type PushedSource } from '../delivery/flow.ts';
import type { CycleLog } from '../delivery/ingest/cycle-log.ts';
import type { FlowParts } from '../flow-parts.ts';
import { createRabbitmqConsumer } from '../messaging/rabbitmq-consumer.ts';
import { createCrmClient } from '../systems/crm/client.ts';
import type { CustomerList } from '../systems/crm/customer-list.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { crmUrlOf, inventoryUrlOf } from '../systems/environment.ts';
import { createInventoryClient } from '../systems/inventory/client.ts';
import type { WelcomePackageSettings } from './environment.ts';
import { PACKAGE_TYPE, readMessage, WELCOME_PACKAGE, welcomePackageFor } from './item.ts';
import { createInventoryTarget } from './target.ts';
import { addWebhookRoute, WEBHOOKS_TAG } from './webhook-route.ts';

const QUEUE = 'integration.welcome-package';

export function createFlow(settings: WelcomePackageSettings, parts: FlowParts): Flow {
  const { http, log, now } = parts;
  const maxResponseBytes = settings.MAX_RESPONSE_MEGABYTES * 1_000_000;
  const pause = parts.pauseOf('CRM');
  const crmWith = (to: CycleLog['log']) =>
    createCrmClient({
      ...{ http, url: crmUrlOf(settings), maxResponseBytes, pause, now },
      ...{ maxRetries: settings.MAX_RETRIES, retryDelayMs: settings.RETRY_DELAY_SECONDS * 1_000 },
      log: to,
    });
  const inventory = createInventoryClient({
    ...{ http, url: inventoryUrlOf(settings), packageType: PACKAGE_TYPE, maxResponseBytes, now },
  });
  const polled: PolledSource = {
    ...{ kind: 'polled', name: 'crm', system: 'CRM', noun: 'customer', pause },
    intervalMs: settings.POLLING_INTERVAL_SECONDS * 1_000,
    sweepIntervalMs: settings.SWEEP_INTERVAL_SECONDS * 1_000,
    async read(from, signal, cycleLog) {
      const poll = await crmWith(cycleLog).poll(from, signal);
      if (poll.kind !== 'customers') return poll;
      const { customers, position, isWhole } = poll;
      const { unusable: invalid, unusableCount: invalidCount } = customers;
      return { kind: 'items', items: itemsOf(customers), position, isWhole, invalid, invalidCount };
    },
  };
  return {
    name: WELCOME_PACKAGE,
    target: createInventoryTarget({ inventory, log }),
    sources: [polled, ...pushedSources(settings, parts)],
    policy: {
      ...{ order: 'lane', supersedes: false, hasOwnKeys: false, keepsLabels: false },
      batch: ONE_BY_ONE,
      concurrency: settings.DELIVERY_CONCURRENCY,
      maxAttempts: settings.MAX_ATTEMPTS,
    },
    laneOf: canonicalId,
    adopt: ({ identity }) => welcomePackageFor(identity),
    audit: {
      kinds: {
        missing: 'in the CRM, without a package',
        doubled: 'with more than one package',
        orphaned: 'with a package, not in the CRM',
        dead: 'given up, until replayed',
        held: 'kept back, until released',
        in_flight: 'on their way',
      },
      ...{ source: polled.name, intervalMs: polled.intervalMs },
      async *expected(onUnusable) {
        for await (const { id, name } of crmWith(log).readCustomers(onUnusable)) {
          yield welcomePackageFor(id, name);
        }
      },
    },
  };
}

function pushedSources(settings: WelcomePackageSettings, parts: FlowParts): PushedSource[] {
  const { WEBHOOK_SECRET: secrets, CRM_EVENTS_URL: url } = settings;
  const { log, now, random } = parts;
  const sources: PushedSource[] = [];
  const add = (name: string, open: PushedSource['open']) =>
    sources.push({ kind: 'pushed', name, noun: 'customer', open });
  if (secrets) {
    add('webhook', (sink, metrics) => ({
      problem: () => undefined,
      async close() {},
      tag: WEBHOOKS_TAG,
      addRoutes: (app) => addWebhookRoute(app, { secrets, sink, metrics, log, now }),
    }));
  }
  // Webhooks are sent to us: their URL is that of a route of ours.
  if (url && !isWebhookUrl(url)) {
    add('rabbitmq', (sink, metrics) =>
      createRabbitmqConsumer({
        ...{ url, queue: QUEUE, routingKey: 'customer.#' },
        ...{ exchange: CUSTOMER_EXCHANGE, read: readMessage, sink, metrics, log, random },
      }),
    );
  }
  return sources;
}

/** Made one at a time, so that a million of them need not be in memory together. */
function itemsOf(customers: CustomerList): Iterable<Item> {
  const items = () => Iterator.from(customers).map(({ id, name }) => welcomePackageFor(id, name));
  return { [Symbol.iterator]: items };
}
