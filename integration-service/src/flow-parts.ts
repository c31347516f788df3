import type { Logger } from 'service-kit/logger';
import type { Pause } from './delivery/dispatch/pauses.ts';
import type { CycleLog } from './delivery/ingest/cycle-log.ts';
import type { EventMetrics } from './delivery/ingest/metrics.ts';
import type { Ledger } from './delivery/ledger/ledger.ts';
import type { HttpClient } from './http/client.ts';

/** What the service gives to a flow that it builds. */
export interface FlowParts {
  http: HttpClient;
  log: Logger;
  /** For tables of the flow's own, in the ledger's database. */
  ledger: Pick<Ledger, 'within'>;
  /** The log of a source's polling cycles; `noun` is what people call a record. */
  cycleLogOf(noun: string): CycleLog;
  eventMetrics: EventMetrics;
  /**
   * The pause of a system, one for all flows that call it.
   *
   * @param system its name in the ledger and in metrics
   * @param label its name for people. Default: the same
   */
  pauseOf(system: string, label?: string): Pause;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
  /** From 0 to below 1. */
  random: () => number;
}
