import { type Kysely, type RawBuilder, sql } from 'kysely';
import { ATTEMPT_EVENTS } from '../attempts.ts';
import type { Status } from '../delivery.ts';
import { STATUSES } from '../delivery.ts';
import type { DeliveryFilter, DeliveryStatus, Ledger, ListFilter } from './ledger.ts';
import { numbersOf, sequencesOfLanes, textsOf } from './rows.ts';
import type { DeliveryRow, HistoryEvent } from './tables.ts';

/** The part of the ledger that people and dashboards read. Changes nothing. */
export function createReading(db: Kysely<unknown>) {
  return {
    async list(filter, limit, { order = 'asc', after } = {}) {
      const direction = sql.raw(order);
      const isBehind = order === 'asc' ? sql`sequence > ${after}` : sql`sequence < ${after}`;
      const parts = statusesOf(filter).map(
        (status) => sql`
          select * from (select * from deliveries
            where ${matches(db, filter, status)} and ${after === undefined ? sql`true` : isBehind}
            order by sequence ${direction} limit ${limit}) as part`,
      );
      if (parts.length === 0) return [];
      const { rows } = await sql<DeliveryRow>`
        select * from (${sql.join(parts, sql` union all `)}) as found
        order by sequence ${direction} limit ${limit}`.execute(db);
      return rows;
    },

    async count(filter, limit) {
      let count = 0;
      for (const status of statusesOf(filter)) {
        const { rows } = await sql<{ count: number }>`
          select count(*) as count from (
            select sequence from deliveries where ${matches(db, filter, status)} limit ${limit}) as found`.execute(
          db,
        );
        count += rows[0]?.count ?? 0;
        if (count >= limit) return limit;
      }
      return count;
    },

    async countAttempts(sequences) {
      const { rows } = await sql<{ delivery: number; count: number }>`
        select delivery, count(*) as count from events
        where delivery in ${numbersOf(db, sequences)} and what in ${textsOf(db, ATTEMPT_EVENTS)}
        group by delivery`.execute(db);
      return new Map(rows.map(({ delivery, count }) => [delivery, count]));
    },

    async get(flow, key) {
      const found = await sql<DeliveryRow>`
        select * from deliveries where flow = ${flow} and key = ${key}`.execute(db);
      const [delivery] = found.rows;
      if (!delivery) return undefined;
      const { rows: events } = await sql<HistoryEvent>`
        select at, what, attempt, status_code, reason, next_attempt_at from events
        where delivery = ${delivery.sequence} order by id`.execute(db);
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
      const { rows } = await sql<DeliveryStatus>`
        select sequence, key, lane, status, fencing_token from deliveries
        where ${flowUnindexed()} = ${flow} and sequence > ${after}
        order by sequence limit ${limit}`.execute(db);
      return rows;
    },

    async endedLanes(lanes) {
      const { rows } = await sql<{ lane: string }>`
        select lane from ended_lanes where lane in ${textsOf(db, lanes)}`.execute(db);
      return rows.map(({ lane }) => lane);
    },

    async countByStatus(flow) {
      const { rows } = await sql<{ status: Status; count: number }>`
        select status, count(*) as count from deliveries
        where ${flowUnindexed()} = ${flow} group by status`.execute(db);
      const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
      for (const { status, count } of rows) counts[status] = count;
      return counts as Record<Status, number>;
    },

    async oldestUndelivered(flow) {
      const oldest = (['pending', 'sending', 'unknown', 'held'] as const).map(
        (status) => sql`select (select created_at from deliveries
          where flow = ${flow} and status = ${status} order by sequence limit 1) as created_at`,
      );
      const { rows } = await sql<{ at: number | null }>`
        select min(created_at) as at from (${sql.join(oldest, sql` union all `)}) as oldest`.execute(
        db,
      );
      return rows[0]?.at ?? undefined;
    },

    async lastAudit(flow) {
      const { rows } = await sql<{ counts: string }>`
        select counts from audits where flow = ${flow} order by id desc limit 1`.execute(db);
      return rows[0] && JSON.parse(rows[0].counts);
    },
  } satisfies Partial<Ledger>;
}

/** The condition that a delivery fits a filter, and has a status. */
export function matches(
  db: Kysely<unknown>,
  filter: DeliveryFilter,
  status: Status | undefined,
): RawBuilder<boolean> {
  const { flow, lane, keys, reason, from, to } = filter;
  const conditions = [
    status !== undefined && sql`status = ${status}`,
    flow !== undefined && sql`${flowUnindexed()} = ${flow}`,
    lane !== undefined && sql`sequence in ${sequencesOfLanes(db, [lane])}`,
    keys !== undefined && sql`key in ${textsOf(db, keys)}`,
    from !== undefined && sql`created_at >= ${from}`,
    to !== undefined && sql`created_at < ${to}`,
    reason !== undefined &&
      sql`lower(last_error) like lower(${containing(reason)}) escape ${sql.lit('\\')}`,
  ].filter((each) => each !== false);
  return conditions.length > 0 ? sql`${sql.join(conditions, sql` and `)}` : sql`true`;
}

/** Looked for one by one: within a status, its index is in the order in which they were ingested. */
function statusesOf({ status }: ListFilter): (Status | undefined)[] {
  return [...new Set([status].flat())];
}

/** Keeps SQLite from using an index on the flow, and then sorting a million rows for every page. */
function flowUnindexed() {
  return sql<string>`coalesce(flow, '')`;
}

function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
}
