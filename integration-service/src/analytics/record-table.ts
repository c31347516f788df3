/** The last state of each record: what a source shows again is known, and what has changed gets a revision. */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { type Kysely, sql } from 'kysely';
import { numberTypes, rowsOf, textsOf } from '../delivery/ledger/rows.ts';
import type { LedgerTransaction } from '../delivery/ledger/tables.ts';
import type { Kind, SourceRecord } from './record.ts';

/** A record in a state that was not the last one. */
export interface ChangedRecord extends SourceRecord {
  /** Counts the states of this record, from 1. */
  revision: number;
  hash: string;
  /** Unix time in milliseconds. */
  seenAt: number;
}

export async function createRecordTable(db: Kysely<unknown>): Promise<void> {
  const { integer } = numberTypes(db);
  await sql
    .raw(`create table analytics_records (
      kind text not null,
      id text not null,
      revision ${integer} not null,
      hash text not null,
      primary key (kind, id))`)
    .execute(db);
}

/** SHA-256 of a record, however its fields are ordered (RFC 8785), in hex. */
export function hashOf(record: unknown): string {
  return createHash('sha256')
    .update(canonicalize(record) ?? '')
    .digest('hex');
}

/** A record with the hash of how its system shows it. */
export type HashedRecord = SourceRecord & { hash: string };

/** The records that are not as they were last seen. Of a record that comes several times, each change counts. */
export async function findChanges(
  db: Kysely<unknown>,
  records: readonly HashedRecord[],
  seenAt: number,
): Promise<ChangedRecord[]> {
  const last = await lastStates(db, records);
  const changed: ChangedRecord[] = [];
  for (const record of records) {
    const name = nameOf(record);
    const { hash, revision = 0 } = last.get(name) ?? {};
    if (hash === record.hash) continue;
    changed.push({ ...record, revision: revision + 1, seenAt });
    last.set(name, { hash: record.hash, revision: revision + 1 });
  }
  return changed;
}

/** Finds the changes, and remembers them. */
export async function noteChanges(
  transaction: LedgerTransaction,
  records: readonly HashedRecord[],
  seenAt: number,
): Promise<ChangedRecord[]> {
  const changed = await findChanges(transaction, records, seenAt);
  if (changed.length === 0) return [];
  const values = new Map(
    changed.map(({ kind, id, revision, hash }) => [
      nameOf({ kind, id }),
      [kind, id, revision, hash],
    ]),
  );
  await sql`
    insert into analytics_records (kind, id, revision, hash)
    select value->>0, value->>1, cast(value->>2 as bigint), value->>3
    from ${rowsOf(transaction, [...values.values()])} where true
    on conflict (kind, id) do update set revision = excluded.revision,
      hash = excluded.hash`.execute(transaction);
  return changed;
}

interface State {
  hash: string;
  revision: number;
}

async function lastStates(
  db: Kysely<unknown>,
  records: readonly SourceRecord[],
): Promise<Map<string, State>> {
  const states = new Map<string, State>();
  const byKind = Map.groupBy(records, ({ kind }) => kind);
  for (const [kind, some] of byKind) {
    const ids = new Set(some.map(({ id }) => id));
    const { rows } = await sql<State & { id: string }>`
      select id, hash, revision from analytics_records
      where kind = ${kind} and id in ${textsOf(db, ids)}`.execute(db);
    for (const { id, ...state } of rows) states.set(nameOf({ kind, id }), state);
  }
  return states;
}

/** An id may have any character in it, but a kind has no slash. */
function nameOf({ kind, id }: { kind: Kind; id: string }): string {
  return `${kind}/${id}`;
}
