import { type Kysely, sql } from 'kysely';
import { chunksOf } from './history.ts';
import type { Ledger, RejectedRecord } from './ledger.ts';
import { rowsOf } from './rows.ts';
import type { Tables } from './tables.ts';

/** The part of the ledger that stores which records of a source cannot be used. */
export function createRejectedRecords(
  db: Kysely<Tables>,
): Pick<Ledger, 'reject' | 'rejectedRecords' | 'countUnaccepted' | 'acceptRejected'> {
  return {
    async reject<Rejected extends RejectedRecord>(
      flow: string,
      source: string,
      records: Iterable<Rejected>,
      now: number,
    ): Promise<Rejected[]> {
      const fresh: Rejected[] = [];
      for (const chunk of chunksOf(records)) {
        const byFingerprint = new Map<string, Rejected>();
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
      const rows = await db
        .selectFrom('rejected_records')
        .selectAll()
        .where('flow', '=', flow)
        .where('source', '=', source)
        .where('fingerprint', '>', after)
        .orderBy('fingerprint')
        .limit(limit)
        .execute();
      return rows.map(({ fingerprint, record, reason, accepted_at }) => {
        const { position, id } = JSON.parse(record) as Pick<RejectedRecord, 'position' | 'id'>;
        return { fingerprint, position, id, reason, isAccepted: accepted_at !== null };
      });
    },

    async countUnaccepted(flow, source) {
      const { count } = await db
        .selectFrom('rejected_records')
        .select((eb) => eb.fn.countAll().as('count'))
        .where('flow', '=', flow)
        .where('source', '=', source)
        .where('accepted_at', 'is', null)
        .executeTakeFirstOrThrow();
      return Number(count);
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
  };
}
