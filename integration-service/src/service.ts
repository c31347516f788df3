import { createLogger, type Logger } from 'service-kit/logger';
import { createMetrics } from 'service-kit/operations';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { createDeliveryMetrics } from './delivery/dispatch/metrics.ts';
import { createPause, type Pause } from './delivery/dispatch/pauses.ts';
import type { OnEvent } from './delivery/engine-event.ts';
import { createCycleLog } from './delivery/ingest/cycle-log.ts';
import { createEventMetrics, createPollMetrics } from './delivery/ingest/metrics.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import { LedgerError } from './delivery/ledger/ledger-error.ts';
import { openLedger } from './delivery/ledger/open-ledger.ts';
import { createFlows, FLOW_MIGRATIONS, FLOW_NAMES, pathsOfOthers } from './flows.ts';
import { createHttpClient } from './http/client.ts';
import { openFlow } from './open-flow.ts';
import { checkReadiness } from './readiness.ts';

/**
 * Wires the parts of the service, listens, and works until the first signal to stop. Exits with 1
 * when the ledger cannot be used.
 *
 * @param onEvent called at every step of a delivery, so that a caller can test a crash there
 */
export async function runService(config: Config, onEvent?: OnEvent): Promise<void> {
  const log = createLogger({ name: 'integration-service', ...config.log });
  for (const { warning } of config.misspelt) log.warn(warning);
  const ledger = await openLedgerOrExit();
  if (config.ledger.kind === 'sqlite' && !ledger.isAlone) {
    log.warn(
      `Another integration-service works with the ledger ${config.ledger.path}: the two share the work.`,
    );
  }
  const metrics = createMetrics();
  const clocks = { now: Date.now, monotonicNow: () => performance.now() };
  const common = { ledger, log, ...clocks, random: Math.random };
  const http = createHttpClient({
    // One connection more, so that settling does not wait for slow deliveries.
    connections: config.deliveryConcurrency + 1,
    timeoutMs: config.requestTimeoutMs,
  });
  const pauses = new Map<string, Pause>();
  function pauseOf(system: string, label = system): Pause {
    const pause = pauses.get(system) ?? createPause({ system, label, ...common });
    pauses.set(system, pause);
    return pause;
  }
  const cycleLogOf = (noun: string) => createCycleLog(log, noun, clocks.monotonicNow);
  const eventMetrics = createEventMetrics(metrics);
  const metricsOfFlows = {
    delivery: createDeliveryMetrics(metrics, { ledger, pauses: () => pauses.values(), ...clocks }),
    polls: createPollMetrics(metrics),
    events: eventMetrics,
  };
  const parts = { http, cycleLogOf, eventMetrics, pauseOf, ...common };
  const flows = (await createFlows(config, parts)).map((flow) =>
    openFlow(flow, {
      ...common,
      pause: pauseOf(flow.target.name),
      metrics: metricsOfFlows,
      surgeLimit: config.surgeLimit,
      // As many new items per polling interval as one poll may bring.
      surgeWindowMs: config.pollingIntervalMs,
      onEvent,
    }),
  );
  const app = await buildApp({
    ...config,
    ...common,
    metrics,
    flows,
    pathsOff: pathsOfOthers(config.flows),
    checkReadiness: () => checkReadiness({ ledger, flows }),
  });

  async function openLedgerOrExit(): Promise<Ledger> {
    try {
      return await openLedger(config.ledger, log, { flowMigrations: FLOW_MIGRATIONS });
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
      await Promise.all(flows.map((flow) => flow.stop()));
      await http.close();
      await ledger.close();
    },
  });
  log.info('Integration service started.');
  await tellFlows(config.flows, ledger, log);
  // If one of these rejects, nothing can handle the error: it ends the process.
  await Promise.all(flows.map((flow) => flow.run()));
}

/** Says which flows are on if not all are, and what waits in the ledger for the others. */
async function tellFlows(on: readonly string[], ledger: Ledger, log: Logger): Promise<void> {
  if (on.length < FLOW_NAMES.length) log.info(`Flows that are on: ${on.join(', ')} (see FLOWS).`);
  for (const flow of FLOW_NAMES.filter((name) => !on.includes(name))) {
    const counts = await ledger.countByStatus(flow).catch((error: unknown) => {
      // The ledger logs its own errors.
      if (!(error instanceof LedgerError)) throw error;
      return undefined;
    });
    if (!counts) return;
    const { pending, sending, unknown } = counts;
    const count = pending + sending + unknown;
    if (count > 0)
      log.warn(`${count} deliveries of ${flow} wait until this flow is on (see FLOWS).`);
  }
}
