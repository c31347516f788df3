/** Customers, products and package requests, into CSV files: each state of a record is a row, exactly once. */
import { resolve } from 'node:path';
import type { Flow, PolledSource } from '../delivery/flow.ts';
import type { FlowParts } from '../flow-parts.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { crmUrlOf, inventoryUrlOf, productsUrlOf } from '../systems/environment.ts';
import { createListReader } from '../systems/list-reader.ts';
import type { AnalyticsSettings } from './environment.ts';
import { createFilesWriter } from './files/writer.ts';
import { ANALYTICS } from './join.ts';
import type { Kind } from './record.ts';
import { createRecordSource, type RecordList } from './source.ts';
import { createFilesTarget } from './target.ts';

/** With a backlog, so many rows are written at once. */
const MOST_ROWS = 5_000;
const LONGEST_BACKOFF_MS = 60_000;

export function createFlow(settings: AnalyticsSettings, parts: FlowParts): Flow {
  const { http, log, ledger, now } = parts;
  const writer = createFilesWriter({
    ...{ folder: resolve(settings.ANALYTICS_FOLDER), ledger, log, now },
  });
  const listOf = (system: string, kind: Kind, what: string, url: URL): RecordList => {
    const maxBytes = settings.MAX_RESPONSE_MEGABYTES * 1_000_000;
    const source = { http, system, what, maxBytes, mayBeOlder: true, now };
    return { kind, reader: createListReader(source, url) };
  };
  const sourceOf = (name: string, system: string, lists: RecordList[]): PolledSource =>
    createRecordSource({
      ...{ name, system, lists, pause: parts.pauseOf(system), now },
      intervalMs: settings.ANALYTICS_INTERVAL_SECONDS * 1_000,
      sweepIntervalMs: settings.SWEEP_INTERVAL_SECONDS * 1_000,
      maxAttempts: settings.ANALYTICS_MAX_RETRIES,
      retryDelayMs: settings.ANALYTICS_RETRY_SECONDS * 1_000,
    });
  return {
    name: ANALYTICS,
    target: createFilesTarget(writer),
    sources: [
      sourceOf('crm', 'CRM', [listOf('CRM', 'customer', 'customers', crmUrlOf(settings))]),
      // Products first: a package request is joined with its product.
      sourceOf('inventory', 'inventory', [
        listOf('inventory', 'product', 'products', productsUrlOf(settings)),
        listOf('inventory', 'package-request', 'package requests', inventoryUrlOf(settings)),
      ]),
    ],
    policy: {
      ...{ order: 'none', supersedes: false, hasOwnKeys: false, keepsLabels: false },
      batch: {
        size: settings.ANALYTICS_BATCH_SIZE,
        waitMs: settings.ANALYTICS_BATCH_SECONDS * 1_000,
        atMost: MOST_ROWS,
      },
      concurrency: 1,
      maxAttempts: Number.MAX_SAFE_INTEGER,
      longestBackoffMs: LONGEST_BACKOFF_MS,
    },
    laneOf: canonicalId,
    describe: ({ key }) => key.split('/').slice(0, 3).join(' '),
    audit: { kinds: {}, async *expected() {} },
  };
}
