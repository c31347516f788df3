import { createLogger } from 'service-kit/logger';
import { warnOfMisspelt } from 'service-kit/misspelt';
import { createMetrics } from 'service-kit/operations';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { createCircuitBreaker } from './delivery/dispatch/circuit-breaker.ts';
import { createDispatcher, type DispatchStep } from './delivery/dispatch/dispatcher.ts';
import { createGate } from './delivery/dispatch/gate.ts';
import { createDeliveryMetrics } from './delivery/dispatch/metrics.ts';
import { createPause } from './delivery/dispatch/pauses.ts';
import { createCycleLog } from './delivery/ingest/cycle-log.ts';
import { createEventMetrics, createPollerMetrics } from './delivery/ingest/metrics.ts';
import { createPoller } from './delivery/ingest/poller.ts';
import { createSight, type SightStep } from './delivery/ingest/sight.ts';
import { type Ledger, openLedger } from './delivery/ledger/ledger.ts';
import { LedgerError } from './delivery/ledger/ledger-error.ts';
import { createHttpClient } from './http/client.ts';
import { checkReadiness } from './readiness.ts';
import { createCrmClient } from './systems/crm/client.ts';
import { canonicalId } from './systems/customer-id.ts';
import { createInventoryClient, WELCOME_PACKAGE } from './systems/inventory/client.ts';
import { openEventSources } from './welcome-package/event-sources.ts';

export type Step = DispatchStep | SightStep;

/**
 * Wires the parts of the service, listens, and works until the first signal to stop. Exits with 1
 * when the ledger cannot be used.
 *
 * @param onStep called at every step of a delivery, so that a caller can test a crash there
 */
export async function runService(config: Config, onStep?: (step: Step) => void): Promise<void> {
  const log = createLogger({ name: 'integration-service', ...config.log });
  warnOfMisspelt(log, config.misspelt);
  const ledger = await openLedgerOrExit();
  if (config.ledger.kind === 'sqlite' && !ledger.isAlone) {
    log.warn(
      `Another integration-service works with the ledger ${config.ledger.path}: the two share the work.`,
    );
  }
  const metrics = createMetrics();
  const now = Date.now;
  const monotonicNow = () => performance.now();
  const http = createHttpClient({
    // One connection more, so that settling does not wait for slow deliveries.
    connections: config.deliveryConcurrency + 1,
    timeoutMs: config.requestTimeoutMs,
  });
  const target = createInventoryClient({ ...config, http, url: config.inventoryUrl, log, now });
  const breaker = createCircuitBreaker({ target: target.name, log, monotonicNow });
  const pauseOf = (system: string, label?: string) =>
    createPause({ system, ...(label && { label }), ledger, log, now, monotonicNow });
  const pauses = { crm: pauseOf('crm', 'CRM'), target: pauseOf(target.name) };
  const gate = createGate({ breaker, pause: pauses.target, now });
  const dispatcher = createDispatcher({
    leg: WELCOME_PACKAGE,
    target,
    ledger,
    gate,
    concurrency: config.deliveryConcurrency,
    maxAttempts: config.maxAttempts,
    metrics: createDeliveryMetrics(metrics, {
      legs: [WELCOME_PACKAGE],
      ledger,
      breakers: { [target.name]: breaker },
      pauses: Object.values(pauses),
      now,
    }),
    log,
    now,
    monotonicNow,
    random: Math.random,
    onStep,
  });
  const sight = createSight({ ledger, log, onSighted: dispatcher.wake, now, onStep });
  const cycleLog = createCycleLog(log);
  const poller = createPoller({
    ...config,
    crm: createCrmClient({
      ...config,
      ...{ http, url: config.crmUrl, pause: pauses.crm, log: cycleLog.log, now },
    }),
    pause: pauses.crm,
    cycleLog,
    ledger,
    sight,
    metrics: createPollerMetrics(metrics),
    log,
    now,
  });
  const events = openEventSources(config, {
    sight,
    metrics: createEventMetrics(metrics),
    log,
    random: Math.random,
  });
  const app = await buildApp({
    ...config,
    log,
    metrics,
    checkReadiness: () =>
      checkReadiness({
        ...{ ledger, poller, events },
        targets: { [target.name]: { breaker, pause: pauses.target } },
      }),
    ledger,
    targets: { [WELCOME_PACKAGE]: target },
    canonicalId,
    onDue: dispatcher.wake,
    blockedUntil: (leg) => (leg === WELCOME_PACKAGE ? gate.blockedUntil() : undefined),
    webhookRoute: events.webhookRoute,
    now,
  });

  async function openLedgerOrExit(): Promise<Ledger> {
    try {
      return await openLedger(config.ledger, log);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      log.fatal(error.message);
      if (log.level === 'silent') process.stderr.write(`${error.message}\n`);
      process.exit(1);
    }
  }

  await serve({
    app,
    log,
    host: config.host,
    port: config.port,
    portVariable: 'INTEGRATION_SERVICE_PORT',
    async stop() {
      await Promise.all([events.close(), poller.stop(), dispatcher.stop()]);
      await http.close();
      await ledger.close();
    },
  });
  // If one of these rejects, nothing can handle the error: it ends the process.
  await Promise.all([poller.run(), dispatcher.run()]);
}
