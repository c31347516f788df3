import { type Kysely, sql } from 'kysely';
import { chunksOf } from './history.ts';
import type { Ledger, RejectedRecord } from './ledger.ts';
import { rowsOf } from './rows.ts';

/** The part of the ledger that stores which records of a source cannot be used. */
export function createRejectedRecords(db: Kysely<unknown>) {
  return {
    async reject(flow, source, records, now) {
      const fresh: RejectedRecord[] = [];
      for (const chunk of chunksOf(records)) {
        const byFingerprint = new Map<string, RejectedRecord>();
        for (const each of chunk) {
          if (!byFingerprint.has(each.fingerprint)) byFingerprint.set(each.fingerprint, each);
        }
        const records = [...byFingerprint.values()];
        const values = records.map(({ fingerprint, position, id, reason }) => [
          ...[fingerprint, JSON.stringify({ position, id }), reason],
        ]);
        const { rows } = await sql<{ fingerprint: string }>`
          insert into rejected_records (flow, source, fingerprint, record, reason, first_seen_at)
          select cast(${flow} as text), cast(${source} as text), value->>0, value->>1, value->>2, cast(${now} as bigint)
          from ${rowsOf(db, values)} where true
          on conflict (flow, source, fingerprint) do nothing returning fingerprint`.execute(db);
        const inserted = new Set(rows.map(({ fingerprint }) => fingerprint));
        fresh.push(...records.filter((each) => inserted.has(each.fingerprint)));
      }
      return fresh;
    },

    async rejectedRecords(flow, source, limit, after = '') {
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

    async countUnaccepted(flow, source) {
      const { rows } = await sql<{ count: number }>`
        select count(*) as count from rejected_records
        where flow = ${flow} and source = ${source} and accepted_at is null`.execute(db);
      return rows[0]?.count ?? 0;
    },

    async acceptRejected(flow, source, fingerprints, now) {
      for (const chunk of chunksOf(fingerprints)) {
        const values = chunk.map((fingerprint) => [fingerprint]);
        await sql`
          update rejected_records set accepted_at = ${now}
          where flow = ${flow} and source = ${source} and accepted_at is null
            and fingerprint in (select value->>0 from ${rowsOf(db, values)})`.execute(db);
      }
    },
  } satisfies Partial<Ledger>;
}
