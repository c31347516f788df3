import { type RawBuilder, sql } from 'kysely';
import type { Eraser } from './eraser.ts';
import { insertEvents } from './history.ts';
import {
  deliveriesOfLanes,
  isSqlite,
  numbersOf,
  rowsOf,
  sequencesOfLanes,
  textsOf,
  unindexed,
} from './rows.ts';
import type { LedgerTransaction } from './tables.ts';

/** Why a delivery of an ended lane is superseded, as its history says. */
export const RECORD_GONE = 'its record is gone';
/** Why any other is. */
export const LATER_STATE = 'a later state of its record replaces it';

interface Superseded {
  sequence: number;
  status: string;
}

/**
 * Marks what these deliveries replace: in each of their lanes, what the flow ingested before and has not
 * delivered. What is not under way is superseded at once, the rest by the commit of its attempt.
 */
export async function supersedeOlder(
  transaction: LedgerTransaction,
  flow: string,
  ingested: readonly { sequence: number; lane: string }[],
  now: number,
): Promise<void> {
  if (ingested.length === 0) return;
  const newest = new Map<string, number>();
  for (const { lane, sequence } of ingested) {
    newest.set(lane, Math.max(sequence, newest.get(lane) ?? 0));
  }
  // SQLite would begin with all deliveries of the flow; a cross join begins with the lanes.
  const older = sql`(
    select older.sequence, wanted.successor
    from (select value->>0 as lane, cast(value->>1 as bigint) as successor
      from ${rowsOf(transaction, [...newest])}) as wanted
    cross join deliveries as older
    where older.flow = ${flow} and older.lane = wanted.lane and older.lane != older.key
      and older.sequence < wanted.successor)`;
  await supersede(transaction, older, sql`true`, now, LATER_STATE);
}

/**
 * Ends lanes: what they have not delivered is superseded in every flow, except deletes. Later deliveries of
 * such a lane are born superseded.
 *
 * @param endings the deliveries that end lanes, which are deletes themselves
 */
export async function endLanes(
  transaction: LedgerTransaction,
  endings: readonly { sequence: number; lane: string }[],
  now: number,
): Promise<void> {
  if (endings.length === 0) return;
  const lanes = endings.map(({ lane, sequence }): [string, number] => [lane, sequence]);
  await sql`
    insert into ended_lanes (lane, ended_at)
    select value->>0, cast(${now} as bigint) from ${rowsOf(transaction, lanes)} where true
    on conflict (lane) do nothing`.execute(transaction);
  const others = deliveriesOfLanes(transaction, lanes);
  const isNoDelete = sql`coalesce(operation, '') != 'delete'`;
  await supersede(transaction, others, isNoDelete, now, RECORD_GONE);
}

/**
 * Marks as superseded those of these deliveries that are unfinished.
 *
 * @param replaced a subselect of their `sequence` and of the one of their `successor`
 */
async function supersede(
  transaction: LedgerTransaction,
  replaced: RawBuilder<unknown>,
  condition: RawBuilder<unknown>,
  now: number,
  reason: string,
): Promise<void> {
  const isWaiting = sql`status in ('pending', 'held', 'dead')`;
  // The first condition leads SQLite from the numbers to the deliveries; the join alone would read them all.
  const { rows } = await sql<Superseded>`
    with replaced as materialized ${replaced}
    update deliveries set superseded_by = replaced.successor,
      status = case when ${isWaiting} then 'superseded' else status end,
      next_attempt_at = case when ${isWaiting} then null else next_attempt_at end,
      fencing_token = case when ${isWaiting} then fencing_token + 1 else fencing_token end,
      updated_at = case when ${isWaiting} then ${now} else updated_at end
    from replaced
    where deliveries.sequence in (select sequence from replaced)
      and deliveries.sequence = replaced.sequence
      and ${unindexed(sql`${condition} and status not in ('delivered', 'superseded')`)}
    returning deliveries.sequence, deliveries.status`.execute(transaction);
  await tellSuperseded(transaction, rows, now, reason);
}

/**
 * Removes what those of these lanes that have ended, with a delete of them delivered, say of a person, in every
 * flow: payloads, labels, errors and reasons. Rows, keys, times and counts stay, and so do deliveries that are
 * under way, whose own commit comes later, and deletes that are dead, which somebody may replay.
 */
export async function scrubEnded(
  transaction: LedgerTransaction,
  lanes: readonly string[],
  eraser: Eraser,
): Promise<void> {
  if (lanes.length === 0) return;
  const wanted = textsOf(transaction, new Set(lanes));
  // On PostgreSQL, two commits about one lane must see each other: the later one scrubs what both wrote.
  if (!isSqlite(transaction)) {
    await sql`
      select lane from ended_lanes
      where lane in ${wanted} order by lane for update`.execute(transaction);
  }
  const { rows: ended } = await sql<{ lane: string }>`
    select lane from ended_lanes
    where lane in ${wanted}
      and exists (select 1 from deliveries
        where deliveries.lane = ended_lanes.lane and deliveries.lane != deliveries.key
          and deliveries.operation = 'delete' and deliveries.status = 'delivered')`.execute(
    transaction,
  );
  if (ended.length === 0) return;
  const endedLanes = ended.map(({ lane }) => lane);
  const { rows: scrubbed } = await sql<{ sequence: number }>`
    update deliveries set payload = null, label = null, last_error = null
    where sequence in ${sequencesOfLanes(transaction, endedLanes)}
      and ${unindexed(sql`status in ('delivered', 'superseded')
        or status = 'dead' and coalesce(operation, '') != 'delete'`)}
    returning sequence`.execute(transaction);
  const sequences = scrubbed.map(({ sequence }) => sequence);
  await sql`
    update events set reason = null
    where delivery in ${numbersOf(transaction, sequences)}`.execute(transaction);
  await eraser.note(transaction);
}

/**
 * Keeps a lane from ending while deliveries are ingested, and the other way round: on PostgreSQL, two
 * transactions could not see each other's rows. SQLite has one writer.
 *
 * @param isExclusive nothing is ingested meanwhile; otherwise, nothing that ends a lane
 */
export async function lockLanes(
  transaction: LedgerTransaction,
  isExclusive: boolean,
): Promise<void> {
  if (isSqlite(transaction)) return;
  await (isExclusive
    ? sql`select pg_advisory_xact_lock(${LANES_LOCK})`.execute(transaction)
    : sql`select pg_advisory_xact_lock_shared(${LANES_LOCK})`.execute(transaction));
}

/** An arbitrary number that nothing else locks in the same database. */
const LANES_LOCK = 2_026_112_901;

/** Writes into the histories of those deliveries that are superseded now why they are. */
export async function tellSuperseded(
  transaction: LedgerTransaction,
  rows: Superseded[],
  now: number,
  reason: string,
): Promise<void> {
  const events = rows
    .filter(({ status }) => status === 'superseded')
    .map(({ sequence }) => ({ delivery: sequence, what: 'superseded', reason }));
  await insertEvents(transaction, now, events);
}
