import { createBriefLog } from 'service-kit/brief-log';
import type { Logger } from 'service-kit/logger';
import type { Sighting } from '../delivery/delivery.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import type { SightingCounts, SightOptions } from '../delivery/ledger/sightings.ts';
import type { Customer } from './customer-list.ts';
import { WELCOME_PACKAGE, welcomePackageFor } from './inventory-client.ts';

/** Where a crash can be made to happen: before and after sightings are committed. */
export type SightStep = 'sighting' | 'sighted';

export interface SightContext {
  ledger: Pick<Ledger, 'sight'>;
  log: Logger;
  /** Called when there are new deliveries. */
  onSighted: () => void;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Told of every step. Default: nobody. */
  onStep?: ((step: SightStep) => void) | undefined;
}

export type SightCustomers = (
  customers: Iterable<Customer>,
  options: Omit<SightOptions<Sighting>, 'now' | 'onFresh'> & {
    /** Called before anything is said of new ones. */
    onFresh?: () => void;
  },
) => Promise<SightingCounts>;

/**
 * What every source does with the customers that it shows, of whom each is new once, whoever shows her
 * first: they are in the ledger when this resolves.
 *
 * @returns rejects with a `LedgerError` when they are not
 */
export function createSight(context: SightContext): SightCustomers {
  const { ledger, log, onSighted, now, onStep } = context;
  const brief = createBriefLog(log);
  return async (customers, options) => {
    onStep?.('sighting');
    const counts = await ledger.sight(WELCOME_PACKAGE, sightingsOf(customers), {
      ...options,
      now: now(),
      onFresh(sightings) {
        options.onFresh?.();
        for (const { customer } of sightings) {
          brief('new customers', `Found new customer: ${customer.name} (ID: ${customer.id})`);
        }
        onSighted();
      },
    });
    onStep?.('sighted');
    return counts;
  };
}

/** One at a time: a million of them need not be there at once. */
function sightingsOf(customers: Iterable<Customer>): Iterable<Sighting & { customer: Customer }> {
  return {
    *[Symbol.iterator]() {
      for (const customer of customers) yield { ...welcomePackageFor(customer.id), customer };
    },
  };
}
