import { Counter, Gauge, type Registry } from 'prom-client';

/**
 * The metrics of customer events.
 *
 * @param registry what `/metrics` exposes
 * @param countWaiting called at each scrape
 */
export function createEventMetrics(
  registry: Registry,
  countWaiting: () => number,
): { events: Counter<'result'>; failures: Counter } {
  const registers = [registry];
  const events = new Counter({
    name: 'customer_events_total',
    help: 'Customer events by what became of them: sent, or lost, because too many waited or the subscriber wants no more',
    labelNames: ['result'],
    registers,
  });
  // Start at zero: a rate needs a sample from before the first event.
  for (const result of ['sent', 'lost']) events.inc({ result }, 0);
  const failures = new Counter({
    name: 'customer_event_failures_total',
    help: 'Attempts to send a customer event that failed',
    registers,
  });
  new Gauge({
    name: 'customer_events_waiting',
    help: 'Customer events that are not sent yet',
    registers,
    collect() {
      this.set(countWaiting());
    },
  });
  return { events, failures };
}
