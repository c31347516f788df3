import { type Kysely, sql } from 'kysely';
import { isSqlite, numberTypes } from '../../delivery/ledger/rows.ts';
import type { LedgerTransaction } from '../../delivery/ledger/tables.ts';
import type { FileName } from '../columns.ts';
import type { FileState } from './csv-file.ts';

/** A file, as the ledger knows it. */
export interface KnownFile extends FileState {
  name: FileName;
  /** Its first line: of other columns, it is another file. */
  header: string;
}

export async function createFileTable(db: Kysely<unknown>): Promise<void> {
  const { integer } = numberTypes(db);
  await sql
    .raw(`create table analytics_files (
      name text primary key,
      header text not null,
      length ${integer} not null,
      hash text not null,
      row_count ${integer} not null,
      changed_at ${integer} not null)`)
    .execute(db);
}

/**
 * What is committed of each file. In a transaction, it waits for one of a writer that was killed: on PostgreSQL,
 * its commit may still be on the way.
 */
export async function readFiles(transaction: LedgerTransaction): Promise<Map<FileName, KnownFile>> {
  const forUpdate = sql.raw(isSqlite(transaction) ? '' : 'for update');
  const { rows } = await sql<KnownFile>`
    select name, header, length, hash, row_count as rows from analytics_files
    order by name ${forUpdate}`.execute(transaction);
  return new Map(rows.map((row) => [row.name, row]));
}

/** A file, for people. */
export interface ShownFile {
  name: FileName;
  rows: number;
  /** In bytes. */
  length: number;
  /** Unix time in milliseconds. */
  changedAt: number;
}

/** The files as they are committed, in their order. */
export async function listFiles(db: Kysely<unknown>): Promise<ShownFile[]> {
  const { rows } = await sql<ShownFile>`
    select name, row_count as rows, length, changed_at as "changedAt" from analytics_files
    order by name`.execute(db);
  return rows;
}

/** Writes down that a file is begun anew; what was known of one with its name is not known any more. */
export async function beginFile(
  transaction: LedgerTransaction,
  { name, header, length, hash, rows }: KnownFile,
  now: number,
): Promise<void> {
  await sql`
    insert into analytics_files (name, header, length, hash, row_count, changed_at)
    values (${name}, ${header}, ${length}, ${hash}, ${rows}, ${now})
    on conflict (name) do update set header = excluded.header, length = excluded.length,
      hash = excluded.hash, row_count = excluded.row_count,
      changed_at = excluded.changed_at`.execute(transaction);
}

/** What a batch adds to a file. */
export interface FileStep {
  name: FileName;
  from: FileState;
  to: FileState;
}

/** Throws, and nothing is committed with it, when another process has written to the file meanwhile. */
export async function advanceFile(
  transaction: LedgerTransaction,
  { name, from, to }: FileStep,
  now: number,
): Promise<void> {
  const { rows } = await sql`
    update analytics_files
    set length = ${to.length}, hash = ${to.hash}, row_count = ${to.rows}, changed_at = ${now}
    where name = ${name} and length = ${from.length} and hash = ${from.hash}
    returning name`.execute(transaction);
  if (rows.length === 0) throw new Error(`another process has written to ${name}.csv`);
}
