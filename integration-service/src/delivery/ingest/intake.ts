import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import type { Customer } from '../../systems/crm/customer-list.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import type { EventMetrics } from './metrics.ts';
import type { SightCustomers } from './sight.ts';

export interface IntakeOptions {
  /** The name of the event source. */
  source: string;
  sight: SightCustomers;
  log: Logger;
  metrics: EventMetrics;
  /** More new customers than this within `surgeWindowMs` are held. Default: no limit. */
  surgeLimit?: number | undefined;
  surgeWindowMs: number;
}

/** Writes the customers of events into the ledger. */
export interface Intake {
  /**
   * Resolves when the customer is committed. One that is known already changes nothing.
   *
   * @throws {LedgerError} when the customer cannot be committed
   */
  take(customer: Customer): Promise<void>;
  /** Takes no more customers, and resolves when each one taken is committed or has failed. */
  close(): Promise<void>;
}

interface Waiting extends PromiseWithResolvers<void> {
  customer: Customer;
}

const MAX_AT_ONCE = 500;

/** Customers that come during a transaction go into the next one together, because each commit waits for the disk. */
export function createIntake(options: IntakeOptions): Intake {
  const { source, sight, metrics, surgeLimit, surgeWindowMs } = options;
  const logLimited = createRateLimitedLog(options.log, 'warn');
  const underWay = new Set<Promise<void>>();
  let waiting: Waiting[] = [];
  let isWriting = false;
  let isClosed = false;
  const surge = createSurgeGuard(surgeLimit, surgeWindowMs);

  async function writeAll(): Promise<void> {
    isWriting = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MAX_AT_ONCE);
      waiting = waiting.slice(MAX_AT_ONCE);
      try {
        await write(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isWriting = false;
  }

  async function write(batch: Waiting[]): Promise<void> {
    const { fresh, held, known } = await sight(
      batch.map(({ customer }) => customer),
      { surgeLimit: surge.left() },
    );
    surge.count(fresh, held);
    if (held > 0) {
      const what = `${held} new customer(s) by ${source}`;
      logLimited(
        'such lines',
        `Holding back ${what}: more than SURGE_LIMIT (${surgeLimit}) came at once.`,
      );
    }
    metrics.received.inc({ source, result: 'new' }, fresh);
    metrics.received.inc({ source, result: 'held' }, held);
    metrics.received.inc({ source, result: 'known' }, known);
  }

  function take(customer: Customer): Promise<void> {
    const entry = { customer, ...Promise.withResolvers<void>() };
    waiting.push(entry);
    if (!isWriting) void writeAll();
    return entry.promise;
  }

  return {
    async take(customer) {
      if (isClosed) throw new LedgerError('unreachable', 'The service is stopping.');
      const taking = take(customer);
      underWay.add(taking);
      await taking.finally(() => underWay.delete(taking));
    },
    async close() {
      isClosed = true;
      await Promise.allSettled(underWay);
    },
  };
}

/** Counts new customers per window of `windowMs`. The first one after the end of a window begins the next. */
function createSurgeGuard(limit: number | undefined, windowMs: number) {
  let endsAt = 0;
  let allowed = 0;
  return {
    /** How many more new customers may arrive before it is a surge; `undefined` without a limit. */
    left(): number | undefined {
      if (limit === undefined) return undefined;
      if (performance.now() >= endsAt) {
        endsAt = performance.now() + windowMs;
        allowed = limit;
      }
      return allowed;
    },
    count(fresh: number, held: number): void {
      // Customers that arrive after the limit was exceeded are a part of the same surge.
      allowed = held > 0 ? 0 : allowed - fresh;
    },
  };
}
