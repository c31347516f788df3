import type { Poll } from '../../systems/crm/client.ts';
import { WELCOME_PACKAGE } from '../../systems/inventory/client.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { fingerprintOf, shownIdOf } from '../ledger/record-identity.ts';
import type { RejectedRecord } from '../ledger/rejected-records.ts';
import type { CycleLog } from './cycle-log.ts';
import type { PollHealth } from './poll-health.ts';

/** A record that is not a customer: its position, its id and the reason, but nothing else of its content. */
export type UnusableRecord = RejectedRecord & { position: number };

/** What may be kept and shown of a record that is not a customer. */
export function unusableRecord(record: unknown, position: number, reason: string): UnusableRecord {
  return { fingerprint: fingerprintOf(record), position, id: shownIdOf(record), reason };
}

/** Describes a record that is not a customer, for people: `position 4, id 7: its id is not a string`. */
export function describeUnusable({ position, id, reason }: RejectedRecord): string {
  const where = position === null ? 'position not known' : `position ${position}`;
  return `${where}${id === null ? '' : `, id ${id}`}: ${reason}`;
}

/** Says that a whole list has no usable record, and why; `undefined` if it has one, is empty or partial. */
export function uselessness({ customers, isWhole }: Poll): string | undefined {
  const [first] = customers.unusable;
  if (!first || !isWhole || !customers[Symbol.iterator]().next().done) return undefined;
  const count = customers.unusableCount;
  return `None of the ${count} records in the list of the CRM can be used (${describeUnusable(first)}). Nobody is served. npm run audit lists them.`;
}

export interface UnusableRecordsOptions {
  ledger: Pick<Ledger, 'reject' | 'countUnaccepted'>;
  health: PollHealth;
  cycleLog: CycleLog;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** Writes the unusable records of polls into the ledger, and logs each of them once. */
export function createUnusableRecords({ ledger, health, cycleLog, now }: UnusableRecordsOptions) {
  /** Counts the records that are not accepted: an audit may have accepted some meanwhile. */
  async function count(): Promise<void> {
    health.unaccepted(await ledger.countUnaccepted(WELCOME_PACKAGE));
  }

  return {
    count,
    async reject({ customers, isWhole }: Pick<Poll, 'customers' | 'isWhole'>): Promise<void> {
      // A position among the records since the last poll says nothing about the position in the list.
      const records = customers.unusable.map(
        (each): RejectedRecord => (isWhole ? each : { ...each, position: null }),
      );
      const rejected = await ledger.reject(WELCOME_PACKAGE, records, now());
      if (rejected.length === 0) return;
      await count();
      const { warn } = cycleLog.log;
      for (const each of rejected.slice(0, 10))
        warn(`Skipping a record: ${describeUnusable(each)}.`);
      if (rejected.length > 10) warn(`Skipping ${rejected.length - 10} more such record(s).`);
    },
  };
}
