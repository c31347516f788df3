import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { type OnEvent, VERDICTS } from '../engine-event.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { OUTCOMES } from '../outcome.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import type { Pause } from './pauses.ts';

const BREAKER_STATES = { closed: 0, 'half-open': 1, open: 2 };

interface Watched {
  flow: string;
  target: string;
  breaker: CircuitBreaker;
}

/** Shows a flow from now on; the returned listener counts what is committed. */
export type DeliveryMetrics = (of: Watched) => OnEvent;

/** The metrics of all flows, in the registry that `/metrics` shows. */
export function createDeliveryMetrics(
  registry: Registry,
  options: {
    ledger: Ledger;
    /** The pauses of all systems that are called; more may come. */
    pauses: () => Iterable<Pause>;
    /** Unix time in milliseconds. */
    now: () => number;
  },
): DeliveryMetrics {
  const { ledger, pauses, now } = options;
  const watched: Watched[] = [];
  const registers = [registry];

  /** A gauge that is read from the ledger at each scrape; it has no values when the ledger cannot be read. */
  function ledgerGauge(
    name: string,
    help: string,
    label: string | undefined,
    read: (flow: string) => Promise<Record<string, number>>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames: label ? ['flow', label] : ['flow'],
      registers,
      async collect() {
        this.reset();
        for (const { flow } of watched) {
          const values = await read(flow).catch(() => ({}));
          for (const [key, value] of Object.entries(values)) {
            this.set(label ? { flow, [label]: key } : { flow }, value);
          }
        }
      },
    });
  }

  ledgerGauge('deliveries', 'Deliveries in the ledger by status', 'status', (flow) =>
    ledger.countByStatus(flow),
  );
  ledgerGauge(
    'oldest_undelivered_age_seconds',
    'Since when the oldest delivery that is still to be delivered has been known; 0 when there is none',
    undefined,
    async (flow) => {
      const since = await ledger.oldestUndelivered(flow);
      return { age: since === undefined ? 0 : Math.max(0, now() - since) / 1000 };
    },
  );
  ledgerGauge(
    'audit_drift',
    'What the last audit found, by kind; without values before the first',
    'kind',
    async (flow) => (await ledger.lastAudit(flow)) ?? {},
  );
  new Gauge({
    name: 'breaker_state',
    help: 'The circuit breaker of each target: 0 closed, 1 half-open, 2 open',
    labelNames: ['flow', 'target'],
    registers,
    collect() {
      for (const { flow, target, breaker } of watched) {
        this.set({ flow, target }, BREAKER_STATES[breaker.state()]);
      }
    },
  });
  new Gauge({
    name: 'system_pause_seconds',
    help: 'How long each system is still not called because it asks for fewer calls; 0 when it is called',
    labelNames: ['system'],
    registers,
    collect() {
      for (const { system, waitMs } of pauses()) this.set({ system }, waitMs() / 1000);
    },
  });
  const attempts = new Counter({
    name: 'delivery_attempts_total',
    help: 'Calls to a target by outcome',
    labelNames: ['flow', 'outcome'],
    registers,
  });
  const settled = new Counter({
    name: 'settle_total',
    help: 'Reads of a target about one attempt of unknown outcome, by verdict',
    labelNames: ['flow', 'verdict'],
    registers,
  });
  const latency = new Histogram({
    name: 'delivery_latency_seconds',
    help: 'From the ingest to delivered',
    labelNames: ['flow'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600, 86_400],
    registers,
  });
  const count: OnEvent = (event) => {
    if (event.kind !== 'committed') return;
    const { flow } = event;
    for (const { claim, transition, outcome, verdict } of event.results) {
      if (outcome) attempts.inc({ flow, outcome: outcome.kind });
      if (verdict) settled.inc({ flow, verdict });
      if (transition.status === 'delivered') {
        latency.observe({ flow }, Math.max(0, now() - claim.createdAt) / 1000);
      }
    }
  };
  return (of) => {
    const { flow } = of;
    watched.push(of);
    // A rate needs the zero before the first event.
    for (const outcome of OUTCOMES) attempts.inc({ flow, outcome }, 0);
    for (const verdict of VERDICTS) settled.inc({ flow, verdict }, 0);
    return count;
  };
}
