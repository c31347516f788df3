import type { Reading } from '../flow.ts';
import type { RejectedRecord } from '../ledger/ledger.ts';

/** Describes a record that cannot be used, for people: `position 4, id 7: its id is not a string`. */
export function describeUnusable({ position, id, reason }: RejectedRecord): string {
  const where = position === null ? 'position not known' : `position ${position}`;
  return `${where}${id === null ? '' : `, id ${id}`}: ${reason}`;
}

/** Says that a whole list has no usable record, and why; `undefined` if it has one, is empty or partial. */
export function uselessness(
  reading: Extract<Reading, { kind: 'items' | 'records' }>,
  system: string,
): string | undefined {
  const { invalid, invalidCount, isWhole } = reading;
  const [first] = invalid;
  if (!first || !isWhole || isAnyUsable(reading)) return undefined;
  return `None of the ${invalidCount} records in the list of the ${system} can be used (${describeUnusable(first)}). Nobody is served. npm run audit lists them.`;
}

function isAnyUsable(reading: Extract<Reading, { kind: 'items' | 'records' }>): boolean {
  return reading.kind === 'records'
    ? reading.isAnyUsable
    : !reading.items[Symbol.iterator]().next().done;
}
