/** The CRM follows the customers of the shop: created, changed and deleted, in order. */
import type { Change, Flow, PushedSource } from '../delivery/flow.ts';
import { ONE_BY_ONE } from '../delivery/flow.ts';
import type { FlowParts } from '../flow-parts.ts';
import { createCustomerRecords } from '../systems/crm/customer-records.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { crmRecordsUrlOf } from '../systems/environment.ts';
import { createComparison } from './comparison.ts';
import { differencesOf } from './differences.ts';
import type { CustomerSyncSettings } from './environment.ts';
import { addFailedRequestsRoute } from './failed-requests.ts';
import { CUSTOMER_SYNC, versionItem, versionOf } from './item.ts';
import { createRepair } from './repair.ts';
import { createShop } from './shop.ts';
import { addShopRoutes, SHOP_TAG } from './shop-routes.ts';
import { createCrmTarget } from './target.ts';

export function createFlow(settings: CustomerSyncSettings, parts: FlowParts): Flow {
  const { http, ledger, now } = parts;
  const crm = createCustomerRecords({
    ...{ http, url: settings.CUSTOMER_SYNC_URL ?? crmRecordsUrlOf(settings), now },
    maxResponseBytes: settings.MAX_RESPONSE_MEGABYTES * 1_000_000,
  });
  const target = createCrmTarget(crm);
  const intervalMs = settings.SYNC_COMPARE_SECONDS * 1_000;
  let changeOpen: Change | undefined;
  const change: Change = async (make, input) => {
    if (!changeOpen) throw new Error('The flow is not open.');
    return changeOpen(make, input);
  };
  const shop = createShop({ change, ledger, now });
  const api: PushedSource = {
    ...{ kind: 'pushed', name: 'shop', noun: 'customer' },
    open(_sink, _metrics, open) {
      changeOpen = open;
      return {
        problem: () => undefined,
        async close() {},
        tag: SHOP_TAG,
        addRoutes(app, routeParts) {
          addShopRoutes(app, shop, routeParts.guarded);
          addFailedRequestsRoute(app, ledger, routeParts);
        },
      };
    },
  };
  const comparison = createComparison({
    ...{ crm, shop, change, ledger, now, intervalMs },
    pause: parts.pauseOf(target.name),
    sweepIntervalMs: settings.SWEEP_INTERVAL_SECONDS * 1_000,
  });
  return {
    name: CUSTOMER_SYNC,
    target,
    sources: [api, comparison],
    policy: {
      ...{ order: 'lane', supersedes: true, hasOwnKeys: true, keepsLabels: true },
      batch: ONE_BY_ONE,
      concurrency: settings.DELIVERY_CONCURRENCY,
      maxAttempts: settings.MAX_ATTEMPTS,
      longestBackoffMs: settings.RETRY_INTERVAL_SECONDS * 1_000,
    },
    laneOf: canonicalId,
    describe: ({ key, operation }) => `${operation}, version ${versionOf(key)}`,
    audit: {
      kinds: {
        missing: 'in the shop, not in the CRM',
        different: 'in both, with other values in the CRM',
        orphaned: 'in the CRM, not in the shop any more',
        extra: 'in the CRM, never in the shop: no difference',
        dead: 'given up, until replayed or repaired',
        held: 'kept back, until released',
        in_flight: 'on their way, or changed meanwhile',
      },
      async *expected() {
        for (let page = await shop.list(1_000); page.length > 0; ) {
          for (const { customer } of page) yield versionItem(customer);
          page = await shop.list(1_000, page.at(-1)?.number);
        }
      },
      differences: differencesOf,
      repair: createRepair(now),
    },
  };
}
