import { type Kysely, sql } from 'kysely';
import { chunksOf } from '../chunks.ts';
import type { Ledger, RejectedRecord, SourceId } from './ledger.ts';
import { rowsOf } from './rows.ts';

/** The part of the ledger that stores which records of a source cannot be used. */
export function createRejectedRecords(db: Kysely<unknown>) {
  /** Inserts records, each with a fingerprint of its own; returns which rows were inserted or updated. */
  async function write(
    { flow, source }: SourceId,
    records: RejectedRecord[],
    now: number,
    isAccepted: boolean,
  ): Promise<Set<string>> {
    const values = records.map(({ fingerprint, position, id, reason }) => {
      return [fingerprint, JSON.stringify({ position, id }), reason];
    });
    const { rows } = await sql<{ fingerprint: string }>`
      insert into rejected_records
        (flow, source, fingerprint, record, reason, first_seen_at, accepted_at)
      select cast(${flow} as text), cast(${source} as text), value->>0, value->>1, value->>2,
        cast(${now} as bigint), cast(${isAccepted ? now : null} as bigint)
      from ${rowsOf(db, values)} where true
      on conflict (flow, source, fingerprint) ${
        isAccepted
          ? sql`do update set accepted_at = coalesce(rejected_records.accepted_at, excluded.accepted_at)`
          : sql`do nothing`
      }
      returning fingerprint`.execute(db);
    return new Set(rows.map(({ fingerprint }) => fingerprint));
  }

  return {
    async reject(of, records, now) {
      const fresh: RejectedRecord[] = [];
      for (const chunk of chunksOf(records)) {
        const byFingerprint = new Map<string, RejectedRecord>();
        for (const each of chunk) {
          if (!byFingerprint.has(each.fingerprint)) byFingerprint.set(each.fingerprint, each);
        }
        const distinct = [...byFingerprint.values()];
        const inserted = await write(of, distinct, now, false);
        fresh.push(...distinct.filter((each) => inserted.has(each.fingerprint)));
      }
      return fresh;
    },

    async rejectedRecords({ flow, source }, limit, after = '') {
      const { rows } = await sql<{
        fingerprint: string;
        record: string;
        reason: string;
        accepted_at: number | null;
      }>`
        select * from rejected_records
        where flow = ${flow} and source = ${source} and fingerprint > ${after}
        order by fingerprint limit ${limit}`.execute(db);
      return rows.map(({ fingerprint, record, reason, accepted_at }) => {
        const { position, id } = JSON.parse(record) as Pick<RejectedRecord, 'position' | 'id'>;
        return { fingerprint, position, id, reason, isAccepted: accepted_at !== null };
      });
    },

    async countUnaccepted({ flow, source }) {
      const { rows } = await sql<{ count: number }>`
        select count(*) as count from rejected_records
        where flow = ${flow} and source = ${source} and accepted_at is null`.execute(db);
      return rows[0]?.count ?? 0;
    },

    async acceptRejected(of, records, now) {
      for (const chunk of chunksOf(records)) await write(of, chunk, now, true);
    },
  } satisfies Partial<Ledger>;
}
