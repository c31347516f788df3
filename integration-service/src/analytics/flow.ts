/** Customers, products and package requests, into CSV files: each state of a record is a row, exactly once. */
import { resolve } from 'node:path';
import type { Flow, PolledSource } from '../delivery/flow.ts';
import type { FlowParts } from '../flow-parts.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { crmUrlOf, inventoryUrlOf, productsUrlOf } from '../systems/environment.ts';
import { createListReader } from '../systems/list-reader.ts';
import { differencesOf, listIngested, listRows } from './audit.ts';
import type { AnalyticsSettings } from './environment.ts';
import { createFilesWriter } from './files/writer.ts';
import { createWriterLease } from './files/writer-lease.ts';
import { ANALYTICS } from './join.ts';
import type { Kind } from './record.ts';
import { ANALYTICS_TAG, addAnalyticsRoutes } from './routes.ts';
import { createRecordSource, listUnseen, type RecordList } from './source.ts';
import { createFilesTarget } from './target.ts';

/** With a backlog, so many rows are written at once. */
const MOST_ROWS = 5_000;
const LONGEST_BACKOFF_MS = 60_000;

export function createFlow(settings: AnalyticsSettings, parts: FlowParts): Flow {
  const { http, log, ledger, now } = parts;
  const folder = resolve(settings.ANALYTICS_FOLDER);
  const lease = createWriterLease({ ledger, flow: ANALYTICS, now });
  const writer = createFilesWriter({ folder, ledger, log, lease, now });
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
  const crmLists = [listOf('CRM', 'customer', 'customers', crmUrlOf(settings))];
  // Products first: a package request is joined with its product.
  const inventoryLists = [
    listOf('inventory', 'product', 'products', productsUrlOf(settings)),
    listOf('inventory', 'package-request', 'package requests', inventoryUrlOf(settings)),
  ];
  const crm = sourceOf('crm', 'CRM', crmLists);
  return {
    name: ANALYTICS,
    target: createFilesTarget(writer),
    sources: [crm, sourceOf('inventory', 'inventory', inventoryLists)],
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
    routes: {
      tag: ANALYTICS_TAG,
      add: (app, { guarded }) => addAnalyticsRoutes(app, { ...guarded, folder, ledger }),
    },
    describe: ({ key }) => key.split('/').slice(0, 3).join(' '),
    audit: {
      kinds: {
        missing: 'shown or ingested, not in a file',
        different: 'in a file, with other cells than were written',
        doubled: 'in a file more than once',
        orphaned: 'in a file, not in the ledger',
        dead: 'given up, until replayed',
        held: 'kept back, until released',
        in_flight: 'on their way',
      },
      ...{ source: crm.name, intervalMs: crm.intervalMs },
      async *expected(onUnusable = () => {}) {
        yield* listUnseen([...crmLists, ...inventoryLists], ledger, onUnusable);
        yield* listIngested(ledger);
      },
      held: () => listRows(folder, ledger),
      differences: differencesOf,
    },
  };
}
