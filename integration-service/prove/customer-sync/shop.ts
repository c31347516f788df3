import { wholeNumberFrom } from '../random.ts';
import type { ShopClient } from './shop-client.ts';
import type { ShopCustomer } from './shop-customer.ts';

/** What the shop must have of a customer by all that it has answered. */
export interface Entry {
  id: string;
  /** The last state that was answered or read. */
  customer: ShopCustomer;
  isGone: boolean;
  /** A change may have been carried out that was not answered. */
  isUnclear: boolean;
  /** Somebody is changing it, or nobody is to change it any more. */
  isTaken: boolean;
}

/** What the shop must have, and what it did not keep. */
export interface Shop {
  entries: ReadonlyMap<string, Entry>;
  problems: string[];
  /** An arbitrary entry of a kind; `undefined` if there seem to be few of them. */
  findSome(isWanted: (entry: Entry) => boolean, random: () => number): Entry | undefined;
  /** Whether something is unclear, so that the shop must be read. */
  isUnclear(): boolean;
  /** A request was not answered. Without an entry, it was to create a customer. */
  doubt(entry?: Entry): void;
  /** The shop has answered or shown a customer. */
  saw(customer: ShopCustomer): Entry;
  removed(entry: Entry): void;
  /** Notes what cannot be right. */
  blame(problem: string): void;
  /**
   * Reads all customers of the shop, while nobody changes any: each must be as it was answered, or later if that
   * is unclear. Resolves with the ids of those who were created without an answer; `undefined` if the shop cannot
   * be read.
   *
   * @param isRestored the shop has gone back in time: what it shows is right
   */
  read(options?: { isRestored: boolean }): Promise<string[] | undefined>;
}

/** A search of all would take long when there are thousands. */
const MOST_LOOKS = 50;

export function createShop(client: Pick<ShopClient, 'list'>): Shop {
  const entries = new Map<string, Entry>();
  const all: Entry[] = [];
  const problems = new Set<string>();
  let mayHaveMore = false;

  function saw(customer: ShopCustomer): Entry {
    const entry = entries.getOrInsertComputed(customer.id, (id) => {
      all.push({ id, customer, isGone: false, isUnclear: false, isTaken: false });
      return all.at(-1) as Entry;
    });
    entry.customer = customer;
    entry.isGone = false;
    return entry;
  }

  function removed(entry: Entry): void {
    entry.isGone = true;
  }

  /** What is wrong with what the shop shows, by what it has answered before. */
  function flawOf(entry: Entry, shown: ShopCustomer | undefined): string | undefined {
    const { id, customer, isGone, isUnclear } = entry;
    if (!shown) return isGone || isUnclear ? undefined : `the shop has lost the customer ${id}`;
    if (isGone) return `the shop has the deleted customer ${id} again`;
    const isSame = JSON.stringify(shown) === JSON.stringify(customer);
    if (isSame || (isUnclear && shown.version > customer.version)) return undefined;
    return `the shop answered ${JSON.stringify(customer)}, and has ${JSON.stringify(shown)}`;
  }

  return {
    entries,
    get problems() {
      return [...problems];
    },
    findSome(isWanted, random) {
      for (let i = 0; i < MOST_LOOKS; i++) {
        const entry = all[wholeNumberFrom(random, 0, all.length - 1)];
        if (entry && isWanted(entry)) return entry;
      }
      return undefined;
    },
    isUnclear: () => mayHaveMore || entries.values().some(({ isUnclear }) => isUnclear),
    doubt(entry) {
      if (entry) entry.isUnclear = true;
      else mayHaveMore = true;
    },
    ...{ saw, removed },
    blame: (problem) => void problems.add(problem),
    async read({ isRestored } = { isRestored: false }) {
      const customers = await client.list();
      if (!customers) return undefined;
      const shown = new Map(customers.map((customer) => [customer.id, customer]));
      for (const entry of entries.values()) {
        const now = shown.get(entry.id);
        const flaw = isRestored ? undefined : flawOf(entry, now);
        if (flaw) problems.add(flaw);
        if (now) saw(now);
        else removed(entry);
        entry.isUnclear = false;
      }
      const more = customers.filter(({ id }) => !entries.has(id));
      for (const customer of more) saw(customer);
      if (more.length > 0 && !mayHaveMore)
        problems.add('the shop has customers whom nobody created');
      mayHaveMore = false;
      return more.map(({ id }) => id);
    },
  };
}
