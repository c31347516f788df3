import { Counter, Gauge, type Registry } from 'prom-client';

/** The metrics of customer events. */
export interface EventMetrics {
  events: Counter<'result'>;
  failures: Counter;
  /** Registers the gauge of waiting events; each scrape calls `count`. */
  waiting(count: () => number): void;
}

/** @param registry what `/metrics` exposes */
export function createEventMetrics(registry: Registry): EventMetrics {
  const registers = [registry];
  const events = new Counter({
    name: 'customer_events_total',
    help: 'Customer events by what became of them: sent, or lost, because too many waited or the subscriber wants no more',
    labelNames: ['result'],
    registers,
  });
  // Start at zero: a rate needs a sample from before the first event.
  for (const result of ['sent', 'lost']) events.inc({ result }, 0);
  return {
    events,
    failures: new Counter({
      name: 'customer_event_failures_total',
      help: 'Attempts to send a customer event that failed',
      registers,
    }),
    waiting(count) {
      new Gauge({
        name: 'customer_events_waiting',
        help: 'Customer events that are not sent yet',
        registers,
        collect() {
          this.set(count());
        },
      });
    },
  };
}
