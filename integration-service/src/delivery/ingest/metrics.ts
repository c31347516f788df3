import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** The poller's metrics, in the registry that `/metrics` shows. */
export function createPollerMetrics(registry: Registry) {
  const registers = [registry];
  const polls = new Counter({
    name: 'polls_total',
    help: 'Polls of the CRM by result; the attempts of one cycle are one poll',
    labelNames: ['result'],
    registers,
  });
  const customersSeen = new Counter({
    name: 'customers_seen_total',
    help: 'Customer records in the answers of the CRM, each counted once: new, known, held or invalid',
    labelNames: ['result'],
    registers,
  });
  // A rate needs the zero before the first event.
  for (const result of ['success', 'failure']) polls.inc({ result }, 0);
  for (const result of ['new', 'known', 'held', 'invalid']) customersSeen.inc({ result }, 0);
  return {
    polls,
    customersSeen,
    pollDuration: new Histogram({
      name: 'poll_duration_seconds',
      help: 'Time to fetch the customers, waiting between attempts included',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    lastSuccessfulPoll: new Gauge({
      name: 'last_successful_poll_timestamp_seconds',
      help: 'When a poll last succeeded, Unix time; 0 before the first',
      registers,
    }),
  };
}

/** The metrics of events, in the registry that `/metrics` shows. */
export function createEventMetrics(registry: Registry) {
  const received = new Counter({
    name: 'events_received_total',
    help: 'Events of customers, each counted once: new, known, held, ignored or invalid',
    labelNames: ['source', 'result'],
    registers: [registry],
  });
  const connections = new Map<string, () => boolean>();
  new Gauge({
    name: 'event_source_connected',
    help: 'Whether there is a connection to a source of events: 1 or 0',
    labelNames: ['source'],
    registers: [registry],
    collect() {
      for (const [source, isConnected] of connections) this.set({ source }, Number(isConnected()));
    },
  });
  return {
    received,
    /** From now on, asks a source whether it is connected. */
    watch: (source: string, isConnected: () => boolean) => connections.set(source, isConnected),
    /** From now on, counts what comes from a source. */
    add(source: string): void {
      for (const result of ['new', 'known', 'held', 'ignored', 'invalid']) {
        received.inc({ source, result }, 0);
      }
    },
  };
}

export type EventMetrics = ReturnType<typeof createEventMetrics>;
export type PollerMetrics = ReturnType<typeof createPollerMetrics>;
