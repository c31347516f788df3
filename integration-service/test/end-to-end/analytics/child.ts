/** A process with the flow of analytics, until it is killed: `child.ts <ChildOptions as JSON>`. */
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { parseEnvironment } from 'service-kit/environment';
import { analyticsEnvironment } from '../../../src/analytics/environment.ts';
import { createFlow } from '../../../src/analytics/flow.ts';
import { analyticsMigrations } from '../../../src/analytics/migrations.ts';
import { createDeliveryMetrics } from '../../../src/delivery/dispatch/metrics.ts';
import { createPause } from '../../../src/delivery/dispatch/pauses.ts';
import { createEventMetrics, createPollMetrics } from '../../../src/delivery/ingest/metrics.ts';
import type { LedgerLocation } from '../../../src/delivery/ledger/ledger.ts';
import { openLedger } from '../../../src/delivery/ledger/open-ledger.ts';
import { createHttpClient } from '../../../src/http/client.ts';
import { openFlow } from '../../../src/open-flow.ts';

export interface ChildOptions {
  location: LedgerLocation;
  env: Record<string, string>;
}

const { location, env }: ChildOptions = JSON.parse(process.argv[2] as string);
const log = pino({ level: 'info' });
const clocks = { now: Date.now, monotonicNow: () => performance.now(), random: Math.random };
const ledger = await openLedger(location, log, {
  ...{ hasThread: true, isService: true, flowMigrations: analyticsMigrations },
});
const pauses = ['CRM', 'inventory', 'files'].map((system) =>
  createPause({ system, ledger, log, ...clocks }),
);
const flow = createFlow(parseEnvironment(analyticsEnvironment, env), {
  ...{ ledger, log, http: createHttpClient({ connections: 4, timeoutMs: 5_000 }), ...clocks },
  pauseOf: (system) => pauses[['CRM', 'inventory'].indexOf(system)] as (typeof pauses)[number],
});
const registry = new Registry();
const open = openFlow(flow, {
  ...{ ledger, log, pause: pauses[2] as (typeof pauses)[number], surgeWindowMs: 1_000, ...clocks },
  metrics: {
    delivery: createDeliveryMetrics(registry, { ledger, pauses: () => [], now: Date.now }),
    polls: createPollMetrics(registry),
    events: createEventMetrics(registry),
  },
});
process.once('SIGTERM', async () => {
  await open.stop();
  await ledger.close();
  process.exit();
});
await open.run();
