import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import type { Readiness } from 'service-kit/operations';
import type { Ledger } from '../delivery/ledger.ts';
import type { PollerMetrics } from '../metrics.ts';
import type { CrmClient, Customer } from './crm-client.ts';
import type { InventoryClient } from './inventory-client.ts';

export interface PollerOptions {
  crm: CrmClient;
  inventory: InventoryClient;
  ledger: Ledger;
  metrics: PollerMetrics;
  log: Logger;
  pollingIntervalMs: number;
  /** Package requests under way at the same time. */
  concurrency: number;
}

export interface Poller {
  /** Begins with a first cycle at once. Call it once. */
  start(): void;
  /**
   * Begins nothing new and resolves when the calls under way have ended; those that take longer than
   * the grace time are cut off. Harmless before `start` and when called again.
   */
  stop(): Promise<void>;
  /** One cycle: fetch the customers, request a package for each new one. What fails is logged. */
  runCycle(): Promise<void>;
  /** Ready when a poll succeeded within the last three intervals. */
  checkReadiness(): Readiness;
}

/** How long `stop` lets calls under way finish: within the 8 s that a whole stop may take. */
const STOP_GRACE_MS = 6_000;

/** Sees to it that every customer of the CRM gets a welcome package. Cycles never overlap. */
export function createPoller(options: PollerOptions): Poller {
  const { crm, inventory, ledger, metrics, log, pollingIntervalMs, concurrency } = options;
  const stopping = new AbortController();
  const cutOff = new AbortController();
  let running: Promise<void> | undefined;
  let polledAtMs = Number.NEGATIVE_INFINITY;

  async function loop(): Promise<void> {
    log.info('Integration service started.');
    while (!stopping.signal.aborted) {
      await runCycle();
      await sleep(pollingIntervalMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  async function runCycle(): Promise<void> {
    log.info('--- Polling cycle started ---');
    const customers = await poll();
    if (stopping.signal.aborted) return;
    if (customers) await deliver(customers);
    else log.warn('Skipping processing cycle due to CRM API fetch failure.');
    const seconds = pollingIntervalMs / 1000;
    log.info(`--- Polling cycle finished. Waiting for ${seconds} seconds. ---`);
  }

  async function poll(): Promise<Customer[] | undefined> {
    const observe = metrics.pollDuration.startTimer();
    const list = await crm.fetchCustomers(stopping.signal);
    if (stopping.signal.aborted) return undefined;
    observe();
    metrics.polls.inc({ result: list ? 'success' : 'failure' });
    if (!list) return undefined;
    const { customers, unusable } = list;
    metrics.customersSeen.inc(customers.length + unusable.length);
    metrics.lastSuccessfulPoll.setToCurrentTime();
    polledAtMs = performance.now();
    if (unusable.length > 0) {
      const positions = unusable.slice(0, 10).join(', ') + (unusable.length > 10 ? ', …' : '');
      log.warn(
        `Skipping ${unusable.length} customer record(s) without a usable id, at position ${positions} of the list.`,
      );
    }
    return customers;
  }

  async function deliver(customers: Customer[]): Promise<void> {
    const byId = new Map(customers.map((customer) => [customer.id, customer]));
    const newIds = await ledger.undelivered([...byId.keys()]);
    if (newIds.length === 0) log.info('No new customers found.');
    // The workers share one iterator: each takes the next customer when it is done with its last.
    const queue = newIds.values();
    const work = async () => {
      for (const id of queue) {
        if (stopping.signal.aborted) return;
        await requestPackage(byId.get(id) as Customer);
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, newIds.length) }, work));
  }

  async function requestPackage({ id, name }: Customer): Promise<void> {
    log.info(`Found new customer: ${name} (ID: ${id})`);
    const created = await inventory.createPackageRequest(id, cutOff.signal);
    metrics.packageRequests.inc({ result: created ? 'success' : 'failure' });
    if (created) await ledger.markDelivered(id);
  }

  return {
    start() {
      running = loop();
    },
    async stop() {
      stopping.abort();
      const timer = setTimeout(
        () => cutOff.abort(new Error('the service is stopping')),
        STOP_GRACE_MS,
      );
      await running;
      clearTimeout(timer);
    },
    runCycle,
    checkReadiness() {
      if (performance.now() - polledAtMs <= 3 * pollingIntervalMs) return { ready: true };
      const seconds = (3 * pollingIntervalMs) / 1000;
      return {
        ready: false,
        reason: `No poll of the CRM succeeded in the last ${seconds} seconds.`,
      };
    },
  };
}
