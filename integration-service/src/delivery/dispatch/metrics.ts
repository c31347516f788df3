import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Ledger } from '../ledger/ledger.ts';
import { OUTCOMES } from '../outcome.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import type { Pause } from './pauses.ts';

/** What one read of the target says about an attempt of unknown outcome. */
export const VERDICTS = ['found', 'not_found', 'unreadable'] as const;

const BREAKER_STATES = { closed: 0, 'half-open': 1, open: 2 };

/** The metrics of all legs, in the registry that `/metrics` shows. */
export function createDeliveryMetrics(
  registry: Registry,
  options: {
    legs: string[];
    ledger: Ledger;
    breakers: Record<string, CircuitBreaker>;
    /** Of all systems. */
    pauses: Pause[];
    /** Unix time in milliseconds. */
    now: () => number;
  },
) {
  const { legs, ledger, breakers, pauses, now } = options;
  const registers = [registry];

  /** A gauge that is read from the ledger at each scrape; it has no values when the ledger cannot be read. */
  function ledgerGauge(
    name: string,
    help: string,
    label: string | undefined,
    read: (leg: string) => Promise<Record<string, number>>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames: label ? ['leg', label] : ['leg'],
      registers,
      async collect() {
        this.reset();
        for (const leg of legs) {
          const values = await read(leg).catch(() => ({}));
          for (const [key, value] of Object.entries(values)) {
            this.set(label ? { leg, [label]: key } : { leg }, value);
          }
        }
      },
    });
  }

  ledgerGauge('deliveries', 'Deliveries in the ledger by status', 'status', (leg) =>
    ledger.countByStatus(leg),
  );
  ledgerGauge(
    'oldest_undelivered_age_seconds',
    'Since when the oldest delivery that is neither delivered nor dead has been known; 0 when there is none',
    undefined,
    async (leg) => {
      const since = await ledger.oldestUndelivered(leg);
      return { age: since === undefined ? 0 : Math.max(0, now() - since) / 1000 };
    },
  );
  ledgerGauge(
    'audit_drift',
    'What the last audit found, by kind; without values before the first',
    'kind',
    async (leg) => (await ledger.lastAudit(leg)) ?? {},
  );
  new Gauge({
    name: 'breaker_state',
    help: 'The circuit breaker of each target: 0 closed, 1 half-open, 2 open',
    labelNames: ['target'],
    registers,
    collect() {
      for (const [target, breaker] of Object.entries(breakers)) {
        this.set({ target }, BREAKER_STATES[breaker.state()]);
      }
    },
  });
  new Gauge({
    name: 'system_pause_seconds',
    help: 'How long each system is still not called because it asks for fewer calls; 0 when it is called',
    labelNames: ['system'],
    registers,
    collect() {
      for (const { system, waitMs } of pauses) this.set({ system }, waitMs() / 1000);
    },
  });
  const attempts = new Counter({
    name: 'delivery_attempts_total',
    help: 'Calls to a target by outcome',
    labelNames: ['leg', 'outcome'],
    registers,
  });
  const settled = new Counter({
    name: 'settle_total',
    help: 'Reads of a target about one attempt of unknown outcome, by verdict',
    labelNames: ['verdict'],
    registers,
  });
  // A rate needs the zero before the first event.
  for (const leg of legs) for (const outcome of OUTCOMES) attempts.inc({ leg, outcome }, 0);
  for (const verdict of VERDICTS) settled.inc({ verdict }, 0);
  return {
    attempts,
    settled,
    latency: new Histogram({
      name: 'delivery_latency_seconds',
      help: 'From the first sighting to delivered',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600, 86_400],
      registers,
    }),
  };
}

export type DeliveryMetrics = ReturnType<typeof createDeliveryMetrics>;
