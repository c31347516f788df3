import { type Kysely, type RawBuilder, sql } from 'kysely';

type Column = string | number | null;

/**
 * Rows as a table of one column, `value`, which the database takes apart: `value->>0` is the first column
 * as text. All rows together are one parameter of one statement. A statement of thousands of parameters
 * takes longer to build, to prepare and to run, and much memory to keep.
 */
export function rowsOf(db: Kysely<unknown>, rows: Column[][]): RawBuilder<unknown> {
  const json = JSON.stringify(rows);
  return isSqlite(db)
    ? sql`json_each(${json})`
    : sql`jsonb_array_elements(cast(${json} as jsonb)) as each(value)`;
}

/** Texts as a subselect of one column. All of them are one parameter. */
export function textsOf(db: Kysely<unknown>, texts: Iterable<string>): RawBuilder<unknown> {
  return sql`(select value->>0 from ${rowsOf(
    db,
    Array.from(texts, (text) => [text]),
  )})`;
}

/** Numbers as a subselect of one column. All of them are one parameter. */
export function numbersOf(db: Kysely<unknown>, numbers: readonly number[]): RawBuilder<unknown> {
  const rows = rowsOf(
    db,
    numbers.map((number) => [number]),
  );
  return sql`(select cast(value->>0 as bigint) from ${rows})`;
}

/**
 * All deliveries of these lanes, in every flow, as a subselect of their `sequence` and of the number that
 * stands beside their lane, `successor`. It uses the two indexes that find lanes: `deliveries_of_lane`, and for
 * each flow that of its keys, because most deliveries are alone in their lane, with its name as their key.
 */
export function deliveriesOfLanes(
  db: Kysely<unknown>,
  lanes: [lane: string, successor: number | null][],
): RawBuilder<unknown> {
  return sql`(
    with recursive each_flow (flow) as (
      select min(flow) from deliveries
      union all
      select (select min(flow) from deliveries where flow > each_flow.flow) from each_flow
      where flow is not null),
    wanted (lane, successor) as (
      select value->>0, cast(value->>1 as bigint) from ${rowsOf(db, lanes)})
    select found.sequence, wanted.successor from wanted join deliveries as found
      on found.lane = wanted.lane
    where found.lane != found.key
    union all
    select found.sequence, wanted.successor from wanted cross join each_flow
      join deliveries as found on found.flow = each_flow.flow and found.key = wanted.lane
    where found.lane = wanted.lane)`;
}

/** The sequence numbers of all deliveries of these lanes, in every flow, as a subselect. */
export function sequencesOfLanes(
  db: Kysely<unknown>,
  lanes: readonly string[],
): RawBuilder<unknown> {
  const wanted = lanes.map((lane): [string, null] => [lane, null]);
  return sql`(select sequence from ${deliveriesOfLanes(db, wanted)} as found)`;
}

/**
 * A condition on deliveries that a statement names by number. Without this, SQLite would look at all deliveries
 * of a status, and PostgreSQL would expect to find one of them, and for each go through all the numbers.
 */
export function unindexed(condition: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql`coalesce(${condition}, false)`;
}

/** The type of a whole number, and that of a number which the database gives and does not use again. */
export function numberTypes(db: Kysely<unknown>): { integer: string; serial: string } {
  return isSqlite(db)
    ? { integer: 'integer', serial: 'integer primary key autoincrement' }
    : { integer: 'bigint', serial: 'bigint generated always as identity primary key' };
}

/** Of the two databases, only SQLite has a single connection. */
export function isSqlite(db: Kysely<unknown>): boolean {
  return db.getExecutor().adapter.supportsMultipleConnections === false;
}
