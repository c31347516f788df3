import type { Reading } from '../flow.ts';
import type { Ledger, RejectedRecord, SourceId } from '../ledger/ledger.ts';
import type { CycleLog } from './cycle-log.ts';
import type { PollHealth } from './poll-health.ts';

/** Describes a record that cannot be used, for people: `position 4, id 7: its id is not a string`. */
export function describeUnusable({ position, id, reason }: RejectedRecord): string {
  const where = position === null ? 'position not known' : `position ${position}`;
  return `${where}${id === null ? '' : `, id ${id}`}: ${reason}`;
}

type Items = Extract<Reading, { kind: 'items' }>;

/** Says that a whole list has no usable record, and why; `undefined` if it has one, is empty or partial. */
export function uselessness(reading: Items, system: string): string | undefined {
  const { items, invalid, invalidCount, isWhole } = reading;
  const [first] = invalid;
  if (!first || !isWhole || !items[Symbol.iterator]().next().done) return undefined;
  return `None of the ${invalidCount} records in the list of the ${system} can be used (${describeUnusable(first)}). Nobody is served. npm run audit lists them.`;
}

export interface UnusableRecordsOptions {
  of: SourceId;
  ledger: Pick<Ledger, 'reject' | 'countUnaccepted'>;
  health: PollHealth;
  cycleLog: CycleLog;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** Writes the unusable records of polls into the ledger, and logs each of them once. */
export function createUnusableRecords(options: UnusableRecordsOptions) {
  const { of, ledger, health, cycleLog, now } = options;

  /** Counts the records that are not accepted: an audit may have accepted some meanwhile. */
  async function count(): Promise<void> {
    health.unaccepted(await ledger.countUnaccepted(of));
  }

  return {
    count,
    async reject({ invalid, isWhole }: Pick<Items, 'invalid' | 'isWhole'>): Promise<void> {
      // A position among the records since the last poll says nothing about the position in the list.
      const records = invalid.map(
        (each): RejectedRecord => (isWhole ? each : { ...each, position: null }),
      );
      const rejected = await ledger.reject(of, records, now());
      if (rejected.length === 0) return;
      await count();
      const { warn } = cycleLog.log;
      for (const each of rejected.slice(0, 10))
        warn(`Skipping a record: ${describeUnusable(each)}.`);
      if (rejected.length > 10) warn(`Skipping ${rejected.length - 10} more such record(s).`);
    },
  };
}
