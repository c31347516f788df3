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

/** Of the two databases, only SQLite has a single connection. */
export function isSqlite<Of>(db: Kysely<Of>): boolean {
  return db.getExecutor().adapter.supportsMultipleConnections === false;
}

/** Moves all of SQLite's write-ahead log into the file, unless another process reads it just now. */
export async function emptyLog<Of>(db: Kysely<Of>): Promise<void> {
  if (isSqlite(db)) await sql`pragma wal_checkpoint(truncate)`.execute(db);
}
