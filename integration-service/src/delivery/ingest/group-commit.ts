import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import type { Item } from '../delivery.ts';
import { INGEST_RESULTS, type IngestCounts } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import type { Ingest } from './ingest.ts';
import type { EventMetrics } from './metrics.ts';
import type { SurgeGuard } from './surge-guard.ts';

export interface GroupCommitOptions {
  /** The name of the source. */
  source: string;
  /** What people call an item: `customer`. */
  noun: string;
  ingest: Ingest;
  guard: SurgeGuard;
  metrics: EventMetrics;
  log: Logger;
}

interface Waiting extends PromiseWithResolvers<IngestCounts> {
  items: readonly Item[];
}

/** The most calls whose items are committed together. */
const MAX_AT_ONCE = 500;

/**
 * The sink of a source that comes by itself. Items that come during a transaction go into the next one
 * together, because each commit waits for the disk.
 */
export function createGroupCommit(options: GroupCommitOptions) {
  const { source, noun, ingest, guard, metrics } = options;
  const logLimited = createRateLimitedLog(options.log, 'warn');
  const waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;
  let isClosed = false;

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.splice(0, MAX_AT_ONCE);
      try {
        const counts = await write(group.flatMap(({ items }) => items));
        for (const { resolve } of group) resolve(counts);
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    writing = undefined;
  }

  async function write(items: readonly Item[]): Promise<IngestCounts> {
    const counts = await ingest.list(items, { noun, guard });
    if (counts.held > 0) {
      const what = `${counts.held} new ${noun}(s) by ${source}`;
      logLimited(
        'such lines',
        `Holding back ${what}: more than SURGE_LIMIT (${guard.limit}) came at once.`,
      );
    }
    for (const result of INGEST_RESULTS) metrics.count(result, counts[result]);
    return counts;
  }

  return {
    async sink(items: readonly Item[]): Promise<IngestCounts> {
      if (isClosed) throw new LedgerError('unreachable', 'The service is stopping.');
      const entry = { items, ...Promise.withResolvers<IngestCounts>() };
      waiting.push(entry);
      writing ??= writeAll();
      return entry.promise;
    },
    /** Takes nothing more, and resolves when all that was taken is committed or has failed. */
    async close(): Promise<void> {
      isClosed = true;
      await writing;
    },
  };
}
