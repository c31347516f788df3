import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import type { Customer } from '../../systems/crm/customer-list.ts';
import { WELCOME_PACKAGE, welcomePackageFor } from '../../systems/inventory/client.ts';
import type { Sighting } from '../delivery.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { SightingCounts, SightOptions } from '../ledger/sightings.ts';

/** Where a test can crash the process: before and after sightings are committed. */
export type SightStep = 'sighting' | 'sighted';

export interface SightContext {
  ledger: Pick<Ledger, 'sight'>;
  log: Logger;
  /** Called when there are new deliveries. */
  onSighted: () => void;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Called at every step. Default: nothing is called. */
  onStep?: ((step: SightStep) => void) | undefined;
}

export type SightCustomers = (
  customers: Iterable<Customer>,
  options: Omit<SightOptions<Sighting>, 'now' | 'onFresh'> & {
    /** Called before new customers are logged. */
    onFresh?: () => void;
  },
) => Promise<SightingCounts>;

/**
 * Writes the customers that a source shows into the ledger. When the returned function resolves, they are
 * committed. Each customer is new only once, whichever source shows it first.
 *
 * @returns a function that rejects with a `LedgerError` when the customers cannot be committed
 */
export function createSight(context: SightContext): SightCustomers {
  const { ledger, log, onSighted, now, onStep } = context;
  const logLimited = createRateLimitedLog(log);
  return async (customers, options) => {
    onStep?.('sighting');
    const counts = await ledger.sight(WELCOME_PACKAGE, sightingsOf(customers), {
      ...options,
      now: now(),
      onFresh(sightings) {
        options.onFresh?.();
        for (const { customer } of sightings) {
          logLimited('new customers', `Found new customer: ${customer.name} (ID: ${customer.id})`);
        }
        onSighted();
      },
    });
    onStep?.('sighted');
    return counts;
  };
}

/** Yields one sighting at a time, so that a million of them need not be in memory together. */
function sightingsOf(customers: Iterable<Customer>): Iterable<Sighting & { customer: Customer }> {
  return {
    *[Symbol.iterator]() {
      for (const customer of customers) yield { ...welcomePackageFor(customer.id), customer };
    },
  };
}
