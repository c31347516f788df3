import { type Kysely, sql } from 'kysely';
import { chunksOf } from './events.ts';
import { rowsOf } from './rows.ts';
import type { Tables } from './tables.ts';

/** A record of a source that can never become a delivery, described without its content. */
export interface RejectedRecord {
  /** Identifies the record, wherever it is in the list: see `fingerprintOf`. */
  fingerprint: string;
  /** The position in the list, from 0; null when it is not known. */
  position: number | null;
  /** The id, or what is in its place, shortened; null when there is none. */
  id: string | null;
  reason: string;
}

/** A rejected record that is in the ledger. */
export interface KnownReject extends RejectedRecord {
  /** A person has accepted it: it is not reported any more. */
  isAccepted: boolean;
}

/** The part of the ledger that stores which records of a source cannot be used. */
export function createRejectedRecords(db: Kysely<Tables>) {
  return {
    /** Stores records that cannot be used; returns those that were not known. */
    async reject<Rejected extends RejectedRecord>(
      leg: string,
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
          insert into rejected_records (leg, fingerprint, record, reason, first_seen_at)
          select cast(${leg} as text), value->>0, value->>1, value->>2, cast(${now} as bigint)
          from ${rowsOf(db, values)} where true
          on conflict (leg, fingerprint) do nothing returning fingerprint`.execute(db);
        const inserted = new Set(rows.map(({ fingerprint }) => fingerprint));
        fresh.push(...records.filter((each) => inserted.has(each.fingerprint)));
      }
      return fresh;
    },

    /** Up to `limit` rejected records of a leg after a fingerprint, in order of fingerprint. */
    async rejectedRecords(leg: string, limit: number, after = ''): Promise<KnownReject[]> {
      const rows = await db
        .selectFrom('rejected_records')
        .selectAll()
        .where('leg', '=', leg)
        .where('fingerprint', '>', after)
        .orderBy('fingerprint')
        .limit(limit)
        .execute();
      return rows.map(({ fingerprint, record, reason, accepted_at }) => {
        const { position, id } = JSON.parse(record) as Pick<RejectedRecord, 'position' | 'id'>;
        return { fingerprint, position, id, reason, isAccepted: accepted_at !== null };
      });
    },

    /** How many rejected records of a leg are not accepted. */
    async countUnaccepted(leg: string): Promise<number> {
      const { count } = await db
        .selectFrom('rejected_records')
        .select((eb) => eb.fn.countAll().as('count'))
        .where('leg', '=', leg)
        .where('accepted_at', 'is', null)
        .executeTakeFirstOrThrow();
      return Number(count);
    },

    /** Accepts the rejected records with these fingerprints. */
    async acceptRejected(leg: string, fingerprints: Iterable<string>, now: number): Promise<void> {
      for (const chunk of chunksOf(fingerprints)) {
        const values = chunk.map((fingerprint) => [fingerprint]);
        await sql`
          update rejected_records set accepted_at = ${now}
          where leg = ${leg} and accepted_at is null
            and fingerprint in (select value->>0 from ${rowsOf(db, values)})`.execute(db);
      }
    },
  };
}
