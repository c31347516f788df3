import { CHUNK } from '../ledger/history.ts';
import type { Ledger } from '../ledger/ledger.ts';

const PAGE = 10_000;

/** Takes the keys of a list one by one, and says at the end whether the list can be complete. */
export interface DeliveredCheck {
  see(key: string): Promise<void> | undefined;
  /** What the list lacks, as a predicate without a subject; `undefined` when it lacks nothing. */
  shortfall(): Promise<string | undefined>;
}

/**
 * Every delivery that is delivered now must be in every complete list of the target that is read from now
 * on. If a list lacks one, the list was cut off (by a page size of its own perhaps), the target was reset,
 * or somebody deleted records there: a delivery that is not in the list may exist all the same. For a
 * million deliveries, the check costs six seconds of CPU time, in small queries to the ledger during the
 * read, and under 100 MB.
 */
export async function createDeliveredCheck(
  ledger: Pick<Ledger, 'deliveredSequences' | 'sequencesOf'>,
  flow: string,
): Promise<DeliveredCheck> {
  const missing = new Set<number>();
  for (let page: number[] | undefined; page === undefined || page.length === PAGE; ) {
    page = await ledger.deliveredSequences(flow, PAGE, page?.at(-1) ?? 0);
    for (const sequence of page) missing.add(sequence);
  }
  const count = missing.size;
  let keys: string[] = [];

  async function strikeOff(): Promise<void> {
    const chunk = keys;
    keys = [];
    for (const sequence of await ledger.sequencesOf(flow, chunk)) missing.delete(sequence);
  }

  return {
    see(key) {
      if (missing.size === 0) return undefined;
      keys.push(key);
      return keys.length < CHUNK ? undefined : strikeOff();
    },
    async shortfall() {
      await strikeOff();
      return missing.size > 0 ? shortfallOf(count - missing.size, count) : undefined;
    },
  };
}

/** A text for people that follows the name of the target. */
export function shortfallOf(listed: number, delivered: number): string {
  return `lists ${listed} of the ${delivered} that were delivered: was it reset, or is its list cut off?`;
}
