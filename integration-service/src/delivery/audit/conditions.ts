import type { AuditKind } from './kinds.ts';

/** What may be drift, or may have changed while it was read, as a condition on the entries of an audit book. */
export const IN_DOUBT = `(
  in_source and ifnull(status, 'delivered') in ('delivered', 'superseded')
    and (holdings = 0 or differences is not null)
  or not in_source and holdings > 0)`;

const OF_ANY = {
  doubled: 'holdings > 1',
  dead: "status = 'dead'",
  held: "status = 'held'",
} as const;
const IS_OPEN = "status in ('pending', 'sending', 'unknown')";

const OF_KEYS: Record<AuditKind, string> = {
  ...OF_ANY,
  // Nobody is to get anything of a record that is gone, and what it got is in its place.
  missing:
    "in_source and holdings = 0 and ifnull(status, 'delivered') = 'delivered' and not is_ended",
  different:
    "in_source and holdings > 0 and ifnull(status, 'delivered') = 'delivered' and differences is not null",
  orphaned: 'holdings > 0 and not in_source and not is_ended',
  extra: 'false',
  in_flight: IS_OPEN,
};

/** The latest delivery of a lane says what should be there. Without any, the source alone does. */
const IS_DONE = `not has_changed and ifnull(status, 'delivered') in ('delivered', 'superseded')`;

const OF_LANES: Record<AuditKind, string> = {
  ...OF_ANY,
  dead: `not has_changed and ${OF_ANY.dead}`,
  held: `not has_changed and ${OF_ANY.held}`,
  missing: `${IS_DONE} and in_source and holdings = 0`,
  different: `${IS_DONE} and in_source and holdings > 0 and differences is not null`,
  orphaned: `${IS_DONE} and not in_source and holdings > 0 and status is not null`,
  extra: 'not has_changed and not in_source and holdings > 0 and status is null',
  in_flight: `${IS_OPEN} or has_changed`,
};

/** What belongs to each kind, as conditions on the entries of an audit book. */
export function conditionsFor(ofLanes: boolean): Record<AuditKind, string> {
  return ofLanes ? OF_LANES : OF_KEYS;
}
