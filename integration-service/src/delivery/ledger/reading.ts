import { type Kysely, type SelectQueryBuilder, sql } from 'kysely';
import { ATTEMPT_EVENTS } from '../attempts.ts';
import type { Status } from '../delivery.ts';
import { STATUSES } from '../delivery.ts';
import { rowsOf } from './rows.ts';
import type { DeliveryRow, HistoryEvent, Tables } from './tables.ts';

/** Which deliveries; a field that is missing does not filter. */
export interface DeliveryFilter {
  status?: Status | undefined;
  leg?: string | undefined;
  customerId?: string | undefined;
  keys?: string[] | undefined;
  /** A part of `last_error`; upper and lower case are the same. */
  reason?: string | undefined;
  /** First sighted then or later, Unix time in milliseconds. */
  from?: number | undefined;
  /** First sighted before that, Unix time in milliseconds. */
  to?: number | undefined;
}

/** The same filter for one or several statuses. */
export interface ListFilter extends Omit<DeliveryFilter, 'status'> {
  status?: Status | Status[] | undefined;
}

/** Which page of a list. */
export interface ListPage {
  /** In order of first sighting: `asc` (default), or the newest first. */
  order?: 'asc' | 'desc' | undefined;
  /** The sequence number of the last delivery of the previous page. Default: the first page. */
  after?: number | undefined;
}

/** The part of the ledger that people and dashboards read. Changes nothing. */
export function createReading(db: Kysely<Tables>) {
  return {
    /** Up to `limit` deliveries of a page. */
    async list(
      filter: ListFilter,
      limit: number,
      { order = 'asc', after }: ListPage = {},
    ): Promise<DeliveryRow[]> {
      const part = (each: DeliveryFilter) =>
        filtered(db, db.selectFrom('deliveries').selectAll(), each)
          .$if(after !== undefined, (query) =>
            query.where('sequence', order === 'asc' ? '>' : '<', after as number),
          )
          .orderBy('sequence', order)
          .limit(limit);
      const parts = oneStatusEach(filter).map((each) =>
        db.selectFrom(part(each).as('part')).selectAll(),
      );
      const [first, ...others] = parts;
      if (!first) return [];
      return db
        .selectFrom(others.reduce((all, other) => all.unionAll(other), first).as('found'))
        .selectAll()
        .orderBy('sequence', order)
        .limit(limit)
        .execute();
    },

    /** How many deliveries match, counted up to `limit`. */
    async count(filter: ListFilter, limit: number): Promise<number> {
      let count = 0;
      for (const each of oneStatusEach(filter)) {
        const some = filtered(db, db.selectFrom('deliveries').select('sequence'), each).limit(
          limit,
        );
        const row = await db
          .selectFrom(some.as('found'))
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow();
        count += row.count;
        if (count >= limit) return limit;
      }
      return count;
    },

    /** The attempts in the history of each delivery, by sequence number; no entry if there are none. */
    async countAttempts(sequences: number[]): Promise<Map<number, number>> {
      const deliveries = sequences.map((sequence) => [sequence]);
      const kinds = ATTEMPT_EVENTS.map((kind) => [kind]);
      const { rows } = await sql<{ delivery: number; count: number }>`
        select delivery, count(*) as count from events
        where delivery in (select cast(value->>0 as bigint) from ${rowsOf(db, deliveries)})
          and what in (select value->>0 from ${rowsOf(db, kinds)})
        group by delivery`.execute(db);
      return new Map(rows.map(({ delivery, count }) => [delivery, count]));
    },

    /** One delivery with everything that happened to it; `undefined` when there is none. */
    async get(leg: string, key: string) {
      const delivery = await db
        .selectFrom('deliveries')
        .selectAll()
        .where('leg', '=', leg)
        .where('key', '=', key)
        .executeTakeFirst();
      if (!delivery) return undefined;
      const events: HistoryEvent[] = await db
        .selectFrom('events')
        .select(['at', 'what', 'attempt', 'status_code', 'reason', 'next_attempt_at'])
        .where('delivery', '=', delivery.sequence)
        .orderBy('id')
        .execute();
      const sighted: HistoryEvent = {
        at: delivery.created_at,
        what: 'sighted',
        attempt: null,
        status_code: null,
        reason: null,
        next_attempt_at: null,
      };
      // A delivery that was created by adoption has never been sighted.
      const isSighted = events[0]?.what !== 'adopted' || events[0].at > delivery.created_at;
      return { delivery, history: isSighted ? [sighted, ...events] : events };
    },

    /** The status of up to `limit` deliveries of a leg after a sequence number. */
    async statuses(leg: string, limit: number, after: number) {
      return db
        .selectFrom('deliveries')
        .select(['sequence', 'key', 'status'])
        .where(legUnindexed(), '=', leg)
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
    },

    /** The sequence numbers, in order, of up to `limit` deliveries of a leg that are delivered. */
    async deliveredSequences(leg: string, limit: number, after: number): Promise<number[]> {
      const rows = await db
        .selectFrom('deliveries')
        .select('sequence')
        .where(legUnindexed(), '=', leg)
        .where('status', '=', 'delivered')
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
      return rows.map(({ sequence }) => sequence);
    },

    /** The sequence numbers of the deliveries of a leg with these keys; unknown keys are left out. */
    async sequencesOf(leg: string, keys: string[]): Promise<number[]> {
      const values = keys.map((key) => [key]);
      const { rows } = await sql<Pick<DeliveryRow, 'sequence'>>`
        select sequence from deliveries
        where leg = ${leg} and key in (select value->>0 from ${rowsOf(db, values)})`.execute(db);
      return rows.map(({ sequence }) => sequence);
    },

    /** When a poll of a leg's source last succeeded; `null` before the first. */
    async polledAt(leg: string): Promise<number | null> {
      const row = await db
        .selectFrom('legs')
        .select('polled_at')
        .where('leg', '=', leg)
        .executeTakeFirst();
      return row?.polled_at ?? null;
    },

    /** How many deliveries a leg has of each status. */
    async countByStatus(leg: string): Promise<Record<Status, number>> {
      const rows = await db
        .selectFrom('deliveries')
        .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
        .where(legUnindexed(), '=', leg)
        .groupBy('status')
        .execute();
      const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
      for (const { status, count } of rows) counts[status] = count;
      return counts as Record<Status, number>;
    },

    /** When the oldest delivery that is neither delivered nor dead was first sighted. */
    async oldestUndelivered(leg: string): Promise<number | undefined> {
      const oldest = await Promise.all(
        (['pending', 'sending', 'unknown', 'held'] as const).map((status) =>
          db
            .selectFrom('deliveries')
            .select('created_at')
            .where('leg', '=', leg)
            .where('status', '=', status)
            .orderBy('sequence')
            .limit(1)
            .executeTakeFirst(),
        ),
      );
      const times = oldest.flatMap((row) => (row ? [row.created_at] : []));
      return times.length > 0 ? Math.min(...times) : undefined;
    },

    /** The counts of the last audit of a leg, by kind. */
    async lastAudit(leg: string): Promise<Record<string, number> | undefined> {
      const row = await db
        .selectFrom('audits')
        .select('counts')
        .where('leg', '=', leg)
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row && JSON.parse(row.counts);
    },
  };
}

/** Adds a filter to a query on deliveries. */
export function filtered<Output>(
  db: Kysely<Tables>,
  query: SelectQueryBuilder<Tables, 'deliveries', Output>,
  { status, leg, customerId, keys, reason, from, to }: DeliveryFilter,
) {
  return query
    .$if(status !== undefined, (q) => q.where('status', '=', status as Status))
    .$if(leg !== undefined, (q) => q.where(legUnindexed(), '=', leg as string))
    .$if(customerId !== undefined, (q) => q.where(isOfCustomer(customerId as string)))
    .$if(keys !== undefined, (q) => q.where(isOneOf(db, keys as string[])))
    .$if(from !== undefined, (q) => q.where('created_at', '>=', from as number))
    .$if(to !== undefined, (q) => q.where('created_at', '<', to as number))
    .$if(reason !== undefined, (q) =>
      q.where(
        sql<boolean>`lower(last_error) like lower(${containing(reason as string)}) escape '\\'`,
      ),
    );
}

/** One filter for each status: within a status, its index is in order of first sighting. */
function oneStatusEach({ status, ...filter }: ListFilter): DeliveryFilter[] {
  if (status === undefined) return [filter];
  return [...new Set([status].flat())].map((each) => ({ ...filter, status: each }));
}

/** The key is one of any number of keys, or of none. */
function isOneOf(db: Kysely<Tables>, keys: string[]) {
  const rows = keys.map((key) => [key]);
  return sql<boolean>`key in (select value->>0 from ${rowsOf(db, rows)})`;
}

/** Uses the two indexes that find customers: `deliveries_lane`, and for each leg that of its keys. */
function isOfCustomer(customerId: string) {
  return sql<boolean>`sequence in (
    with recursive each_leg (leg) as (
      select min(leg) from deliveries
      union all
      select (select min(leg) from deliveries where leg > each_leg.leg) from each_leg
      where leg is not null)
    select sequence from deliveries
    where leg in (select leg from each_leg) and key = ${customerId} and customer_id = ${customerId}
    union all
    select sequence from deliveries where customer_id = ${customerId} and customer_id != key)`;
}

/** Keeps SQLite from using an index on the leg, and then sorting a million rows for every page. */
function legUnindexed() {
  return sql<string>`coalesce(leg, '')`;
}

function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
}
