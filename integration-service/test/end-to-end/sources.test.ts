import { setInterval as every } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import { createMetrics } from 'service-kit/operations';
import { webhookSecretsSchema } from 'service-kit/webhook-signature';
import { expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../../../crm-api/src/app.ts';
import { createEventQueue } from '../../../crm-api/src/events/event-queue.ts';
import type { Publisher } from '../../../crm-api/src/events/publisher.ts';
import { createRabbitmqPublisher } from '../../../crm-api/src/events/rabbitmq-publisher.ts';
import { createWebhookPublisher } from '../../../crm-api/src/events/webhook-publisher.ts';
import { createInventory } from '../../prove/welcome-package/inventory.ts';
import { LEDGER_KINDS, newLocation } from '../ledgers.ts';
import { captureLog } from '../support.ts';
import { hasDocker, useBroker } from './broker.ts';
import { freePort, startService } from './processes.ts';

const rabbitmqUrl = hasDocker ? useBroker() : undefined;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
/** Number of customers per source, in addition to those that come while the service is stopped. */
const COUNT = 40;

/** A CRM that keeps running while the source of customers changes. */
async function startCrm() {
  const { log } = captureLog();
  const metrics = createMetrics();
  let publisher: Publisher | undefined;
  const eventQueue = createEventQueue({
    publisher: {
      target: 'whoever it is',
      concurrency: 16,
      publish: async (event) =>
        publisher?.publish(event) ?? { kind: 'unavailable', reason: 'nobody wants events' },
      async close() {},
    },
    metrics,
    log,
    random: Math.random,
  });
  const onEvent: typeof eventQueue.add = (event) => publisher && eventQueue.add(event);
  const app = await buildApp({ log, metrics, onEvent });
  const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/customers`;
  const ids: string[] = [];
  const over = new AbortController();

  async function createAllTheTime(): Promise<void> {
    for await (const _ of every(20)) {
      if (over.signal.aborted) return;
      const payload = { name: 'Jane', email: `jane-${ids.length}@example.com` };
      const response = await app.inject({ method: 'POST', url: '/customers', payload });
      ids.push(response.json().id);
    }
  }

  const creating = createAllTheTime();
  onTestFinished(async () => {
    over.abort();
    await Promise.all([publisher?.close(), eventQueue.close(), app.close()]);
  });
  return {
    url,
    ids,
    /**
     * Changes the way in which the CRM announces customers, including those that it could not announce so
     * far.
     */
    async tellBy(next: Publisher | undefined) {
      const former = publisher;
      publisher = next;
      await former?.close();
    },
    async stopCreating() {
      over.abort();
      await creating;
    },
  };
}

/** The queue may hold messages of the previous test about customers of another CRM. */
async function deleteQueue(url: string): Promise<void> {
  const connection = new Connection(url);
  await connection.queueDelete('integration.welcome-package');
  await connection.close();
}

it.each(LEDGER_KINDS)(
  'a change of the source while customers are created loses and doubles nobody: %s',
  async (kind) => {
    if (rabbitmqUrl) await deleteQueue(rabbitmqUrl());
    // This inventory supports no idempotency keys: a request that is sent twice is stored twice.
    using inventory = await createInventory('plain', 'none', { timeoutMs: 1_000, kill: () => {} });
    const crm = await startCrm();
    const location = await newLocation(kind);
    // The first of several services gets the webhooks.
    const ports = kind === 'sqlite' ? [await freePort()] : [await freePort(), '0', '0'];
    const env = {
      CRM_API_URL: crm.url,
      INVENTORY_API_URL: inventory.urlFor(0),
      LEDGER_URL: location.kind === 'sqlite' ? `sqlite:${location.path}` : location.url,
    };
    const countServed = (ids: string[]) => ids.filter((id) => inventory.effects(id) > 0).length;

    const start = (source: Record<string, string>) =>
      Promise.all(
        ports.map((port) =>
          startService('integration-service', {
            ...{ ...env, ...source, INTEGRATION_SERVICE_PORT: port },
          }),
        ),
      );

    async function stop(services: Awaited<ReturnType<typeof start>>): Promise<void> {
      for (const code of await Promise.all(services.map((service) => service.stop()))) {
        expect(code).toBe(0);
      }
    }

    /**
     * Runs the service with one source until enough of the customers that come meanwhile have a package.
     */
    async function serveBy(source: Record<string, string>, publisher?: Publisher): Promise<void> {
      await crm.tellBy(publisher);
      const services = await start(source);
      // The first poll may find some more customers; the next poll comes much later.
      const known = crm.ids.length;
      await expect
        .poll(() => countServed(crm.ids.slice(known)), { timeout: 100_000 })
        .toBeGreaterThanOrEqual(COUNT);
      await stop(services);
    }

    const byPoll = { POLLING_INTERVAL_SECONDS: '0.1' };
    // After the first poll, customers come only by events.
    const byEvents = { POLLING_INTERVAL_SECONDS: '3600' };
    const secrets = webhookSecretsSchema.parse(SECRET);
    const url = new URL(`http://127.0.0.1:${ports[0]}/webhooks/customers`);
    const { log } = captureLog();

    await serveBy(byPoll);
    await serveBy(
      { ...byEvents, WEBHOOK_SECRET: SECRET },
      createWebhookPublisher({ url, secrets, now: Date.now }),
    );
    if (rabbitmqUrl) {
      await serveBy(
        { ...byEvents, CRM_EVENTS_URL: rabbitmqUrl() },
        createRabbitmqPublisher({ url: new URL(rabbitmqUrl()), log }),
      );
    }
    await serveBy(byPoll);
    await crm.tellBy(undefined);
    await crm.stopCreating();
    const last = await start(byPoll);
    await expect.poll(() => countServed(crm.ids), { timeout: 100_000 }).toBe(crm.ids.length);
    await stop(last);

    const counts = crm.ids.map((id) => inventory.effects(id));
    expect(counts.filter((count) => count === 0)).toEqual([]);
    expect(counts.filter((count) => count > 1)).toEqual([]);
    const packages = await (await fetch(inventory.urlFor(0))).json();
    expect(packages).toHaveLength(crm.ids.length);
  },
  600_000,
);
