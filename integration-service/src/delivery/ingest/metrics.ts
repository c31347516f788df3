import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { INGEST_RESULTS, type IngestCounts, type SourceId } from '../ledger/ledger.ts';

/** The metrics of the polls of one source. */
export interface PollMetrics {
  /** Measures a poll until the result is called. */
  startTimer(): () => void;
  ended(isSuccess: boolean): void;
  saw(result: keyof IngestCounts | 'invalid', count: number): void;
}

/** Makes the metrics of polls for each source, in the registry that `/metrics` shows. */
export function createPollMetrics(registry: Registry): (of: SourceId) => PollMetrics {
  const registers = [registry];
  const labels = ['flow', 'source'] as const;
  const polls = new Counter({
    name: 'polls_total',
    help: 'Polls of a source by result; the attempts of one cycle are one poll',
    labelNames: [...labels, 'result'],
    registers,
  });
  const seen = new Counter({
    name: 'records_seen_total',
    help: 'Records in what polls read, each counted once: new, known, held, superseded or invalid',
    labelNames: [...labels, 'result'],
    registers,
  });
  const duration = new Histogram({
    name: 'poll_duration_seconds',
    help: 'Time to read a source, waiting between attempts included',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    labelNames: labels,
    registers,
  });
  const succeededAt = new Gauge({
    name: 'last_successful_poll_timestamp_seconds',
    help: 'When a poll last succeeded, Unix time; 0 before the first',
    labelNames: labels,
    registers,
  });
  return ({ flow, source }) => {
    const of = { flow, source };
    // A rate needs the zero before the first event.
    for (const result of ['success', 'failure']) polls.inc({ ...of, result }, 0);
    for (const result of [...INGEST_RESULTS, 'invalid']) seen.inc({ ...of, result }, 0);
    succeededAt.set(of, 0);
    return {
      startTimer: () => duration.startTimer(of),
      ended(isSuccess) {
        polls.inc({ ...of, result: isSuccess ? 'success' : 'failure' });
        if (isSuccess) succeededAt.setToCurrentTime(of);
      },
      saw: (result, count) => seen.inc({ ...of, result }, count),
    };
  };
}

/** The metrics of what one source sends by itself. */
export interface EventMetrics {
  count(result: keyof IngestCounts | 'ignored' | 'invalid', count?: number): void;
  /** From now on, asks the source whether it is connected. */
  watch(isConnected: () => boolean): void;
}

/** Makes the metrics of events for each source, in the registry that `/metrics` shows. */
export function createEventMetrics(registry: Registry): (of: SourceId) => EventMetrics {
  const received = new Counter({
    name: 'events_received_total',
    help: 'What sources sent by themselves, each counted once: new, known, held, superseded, ignored or invalid',
    labelNames: ['flow', 'source', 'result'],
    registers: [registry],
  });
  const connections = new Map<SourceId, () => boolean>();
  new Gauge({
    name: 'event_source_connected',
    help: 'Whether there is a connection to a source of events: 1 or 0',
    labelNames: ['flow', 'source'],
    registers: [registry],
    collect() {
      for (const [of, isConnected] of connections) this.set({ ...of }, Number(isConnected()));
    },
  });
  return (of) => {
    for (const result of [...INGEST_RESULTS, 'ignored', 'invalid']) {
      received.inc({ ...of, result }, 0);
    }
    return {
      count: (result, count = 1) => received.inc({ ...of, result }, count),
      watch: (isConnected) => void connections.set(of, isConnected),
    };
  };
}
