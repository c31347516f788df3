import { createLogger, type Logger } from 'service-kit/logger';
import { createMetrics } from 'service-kit/operations';
import { serve } from 'service-kit/run';
import { buildApp } from './app.ts';
import type { Config } from './config.ts';
import { CLOCKS } from './delivery/clocks.ts';
import { createDeliveryMetrics } from './delivery/dispatch/metrics.ts';
import { createPause, type Pause } from './delivery/dispatch/pauses.ts';
import type { OnEvent } from './delivery/engine-event.ts';
import { createEventMetrics, createPollMetrics } from './delivery/ingest/metrics.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import { LedgerError } from './delivery/ledger/ledger-error.ts';
import { openLedger } from './delivery/ledger/open-ledger.ts';
import { createFlows, FLOW_MIGRATIONS, FLOW_NAMES, pathsOfOthers } from './flows.ts';
import { createHttpClient } from './http/client.ts';
import { openFlow, readinessOf } from './open-flow.ts';

/**
 * Wires the parts of the service, listens, and works until the first signal to stop. Exits with 1
 * when the ledger cannot be used.
 *
 * @param onEvent called at every step of a delivery, so that a caller can test a crash there
 */
export async function runService(config: Config, onEvent?: OnEvent): Promise<void> {
  const { LOG_LEVEL: level, LOG_FORMAT: format, LEDGER_URL: location } = config;
  const log = createLogger({ name: 'integration-service', level, format });
  for (const { warning } of config.misspelt) log.warn(warning);
  const ledger = await openLedgerOrExit();
  if (location.kind === 'sqlite' && !ledger.isAlone) {
    log.warn(
      `Another integration-service works with the ledger ${location.path}: the two share the work.`,
    );
  }
  const metrics = createMetrics();
  const common = { ledger, log, ...CLOCKS, random: Math.random };
  const http = createHttpClient({
    // One connection more, so that settling does not wait for slow deliveries.
    connections: config.DELIVERY_CONCURRENCY + 1,
    timeoutMs: config.REQUEST_TIMEOUT_SECONDS * 1_000,
  });
  const pauses = new Map<string, Pause>();
  function pauseOf(system: string): Pause {
    return pauses.getOrInsertComputed(system, () => createPause({ system, ...common }));
  }
  const metricsOfFlows = {
    delivery: createDeliveryMetrics(metrics, { ledger, pauses: () => pauses.values(), ...CLOCKS }),
    polls: createPollMetrics(metrics),
    events: createEventMetrics(metrics),
  };
  const flows = (await createFlows(config, { http, pauseOf, ...common })).map((flow) =>
    openFlow(flow, {
      ...common,
      pause: pauseOf(flow.target.name),
      metrics: metricsOfFlows,
      surgeLimit: config.SURGE_LIMIT,
      // As many new items per polling interval as one poll may bring.
      surgeWindowMs: config.POLLING_INTERVAL_SECONDS * 1_000,
      onEvent,
    }),
  );
  const app = await buildApp({
    ...common,
    host: config.INTEGRATION_SERVICE_HOST,
    adminToken: config.ADMIN_TOKEN,
    allowedHosts: config.ALLOWED_HOSTS,
    metrics,
    flows,
    pathsOff: pathsOfOthers(config.flows),
    checkReadiness: () => readinessOf(ledger, flows),
  });

  async function openLedgerOrExit(): Promise<Ledger> {
    try {
      return await openLedger(location, log, { flowMigrations: FLOW_MIGRATIONS });
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      log.fatal(error.message);
      if (log.level === 'silent') process.stderr.write(`${error.message}\n`);
      process.exit(1);
    }
  }

  // Before the service can be stopped, because a stop closes the ledger.
  const waiting = await countWaiting(config.flows, ledger);
  await serve({
    app,
    log,
    host: config.INTEGRATION_SERVICE_HOST,
    port: config.INTEGRATION_SERVICE_PORT,
    portVariable: 'INTEGRATION_SERVICE_PORT',
    async stop() {
      await Promise.all(flows.map((flow) => flow.stop()));
      await http.close();
      await ledger.close();
    },
  });
  log.info('Integration service started.');
  tellFlows(config.flows, waiting, log);
  // If one of these rejects, nothing can handle the error: it ends the process.
  await Promise.all(flows.map((flow) => flow.run()));
}

/** How many deliveries wait for flows that are off, by flow; those that the ledger cannot count are left out. */
async function countWaiting(
  on: readonly string[],
  ledger: Ledger,
): Promise<ReadonlyMap<string, number>> {
  const waiting = new Map<string, number>();
  for (const flow of FLOW_NAMES.filter((name) => !on.includes(name))) {
    const counts = await ledger.countByStatus(flow).catch((error: unknown) => {
      // The ledger logs its own errors.
      if (!(error instanceof LedgerError)) throw error;
      return undefined;
    });
    if (!counts) break;
    waiting.set(flow, counts.pending + counts.sending + counts.unknown);
  }
  return waiting;
}

/** Says which flows are on if not all are, and what waits in the ledger for the others. */
function tellFlows(on: readonly string[], waiting: ReadonlyMap<string, number>, log: Logger): void {
  if (on.length < FLOW_NAMES.length) log.info(`Flows that are on: ${on.join(', ')} (see FLOWS).`);
  for (const [flow, count] of waiting) {
    if (count > 0)
      log.warn(`${count} deliveries of ${flow} wait until this flow is on (see FLOWS).`);
  }
}
