import { type Kysely, type SelectQueryBuilder, sql } from 'kysely';
import { ATTEMPT_EVENTS } from '../attempts.ts';
import type { Status } from '../delivery.ts';
import { STATUSES } from '../delivery.ts';
import { sequencesOfLanes } from './lanes.ts';
import type { DeliveryFilter, Ledger, ListFilter } from './ledger.ts';
import { rowsOf } from './rows.ts';
import type { DeliveryRow, HistoryEvent, Tables } from './tables.ts';

/** The part of the ledger that people and dashboards read. Changes nothing. */
export function createReading(
  db: Kysely<Tables>,
): Pick<
  Ledger,
  | 'list'
  | 'count'
  | 'countAttempts'
  | 'get'
  | 'statuses'
  | 'deliveredSequences'
  | 'sequencesOf'
  | 'countByStatus'
  | 'oldestUndelivered'
  | 'lastAudit'
> {
  return {
    async list(filter, limit, { order = 'asc', after } = {}) {
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

    async count(filter, limit) {
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

    async countAttempts(sequences) {
      const deliveries = sequences.map((sequence) => [sequence]);
      const kinds = ATTEMPT_EVENTS.map((kind) => [kind]);
      const { rows } = await sql<{ delivery: number; count: number }>`
        select delivery, count(*) as count from events
        where delivery in (select cast(value->>0 as bigint) from ${rowsOf(db, deliveries)})
          and what in (select value->>0 from ${rowsOf(db, kinds)})
        group by delivery`.execute(db);
      return new Map(rows.map(({ delivery, count }) => [delivery, count]));
    },

    async get(flow, key) {
      const delivery = await db
        .selectFrom('deliveries')
        .selectAll()
        .where('flow', '=', flow)
        .where('key', '=', key)
        .executeTakeFirst();
      if (!delivery) return undefined;
      const events: HistoryEvent[] = await db
        .selectFrom('events')
        .select(['at', 'what', 'attempt', 'status_code', 'reason', 'next_attempt_at'])
        .where('delivery', '=', delivery.sequence)
        .orderBy('id')
        .execute();
      const ingested: HistoryEvent = {
        at: delivery.created_at,
        what: 'ingested',
        attempt: null,
        status_code: null,
        reason: null,
        next_attempt_at: null,
      };
      // A delivery that was created by adoption has never been ingested.
      const isIngested = events[0]?.what !== 'adopted' || events[0].at > delivery.created_at;
      return { delivery, history: isIngested ? [ingested, ...events] : events };
    },

    async statuses(flow, limit, after) {
      return db
        .selectFrom('deliveries')
        .select(['sequence', 'key', 'status'])
        .where(flowUnindexed(), '=', flow)
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
    },

    async deliveredSequences(flow, limit, after) {
      const rows = await db
        .selectFrom('deliveries')
        .select('sequence')
        .where(flowUnindexed(), '=', flow)
        .where('status', '=', 'delivered')
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
      return rows.map(({ sequence }) => sequence);
    },

    async sequencesOf(flow, keys) {
      const values = keys.map((key) => [key]);
      const { rows } = await sql<Pick<DeliveryRow, 'sequence'>>`
        select sequence from deliveries
        where flow = ${flow} and key in (select value->>0 from ${rowsOf(db, values)})`.execute(db);
      return rows.map(({ sequence }) => sequence);
    },

    async countByStatus(flow) {
      const rows = await db
        .selectFrom('deliveries')
        .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
        .where(flowUnindexed(), '=', flow)
        .groupBy('status')
        .execute();
      const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
      for (const { status, count } of rows) counts[status] = count;
      return counts as Record<Status, number>;
    },

    async oldestUndelivered(flow) {
      const oldest = await Promise.all(
        (['pending', 'sending', 'unknown', 'held'] as const).map((status) =>
          db
            .selectFrom('deliveries')
            .select('created_at')
            .where('flow', '=', flow)
            .where('status', '=', status)
            .orderBy('sequence')
            .limit(1)
            .executeTakeFirst(),
        ),
      );
      const times = oldest.flatMap((row) => (row ? [row.created_at] : []));
      return times.length > 0 ? Math.min(...times) : undefined;
    },

    async lastAudit(flow) {
      const row = await db
        .selectFrom('audits')
        .select('counts')
        .where('flow', '=', flow)
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
  { status, flow, lane, keys, reason, from, to }: DeliveryFilter,
) {
  return query
    .$if(status !== undefined, (q) => q.where('status', '=', status as Status))
    .$if(flow !== undefined, (q) => q.where(flowUnindexed(), '=', flow as string))
    .$if(lane !== undefined, (q) => q.where(isOfLane(db, lane as string)))
    .$if(keys !== undefined, (q) => q.where(isOneOf(db, keys as string[])))
    .$if(from !== undefined, (q) => q.where('created_at', '>=', from as number))
    .$if(to !== undefined, (q) => q.where('created_at', '<', to as number))
    .$if(reason !== undefined, (q) =>
      q.where(
        sql<boolean>`lower(last_error) like lower(${containing(reason as string)}) escape '\\'`,
      ),
    );
}

/** One filter for each status: within a status, its index is in the order in which they were ingested. */
function oneStatusEach({ status, ...filter }: ListFilter): DeliveryFilter[] {
  if (status === undefined) return [filter];
  return [...new Set([status].flat())].map((each) => ({ ...filter, status: each }));
}

/** The key is one of any number of keys, or of none. */
function isOneOf(db: Kysely<Tables>, keys: string[]) {
  const rows = keys.map((key) => [key]);
  return sql<boolean>`key in (select value->>0 from ${rowsOf(db, rows)})`;
}

function isOfLane(db: Kysely<Tables>, lane: string) {
  return sql<boolean>`sequence in ${sequencesOfLanes(db, [lane])}`;
}

/** Keeps SQLite from using an index on the flow, and then sorting a million rows for every page. */
function flowUnindexed() {
  return sql<string>`coalesce(flow, '')`;
}

function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
}
