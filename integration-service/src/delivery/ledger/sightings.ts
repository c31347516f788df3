import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Evidence, Sighting } from '../delivery.ts';
import { chunksOf, insertEvents } from './events.ts';
import { type Progress, writeProgress } from './legs.ts';
import { isSqlite, rowsOf } from './rows.ts';
import type { Tables } from './tables.ts';

/** What became of the sightings of one poll: each is counted in one of the three fields. */
export interface SightingCounts {
  fresh: number;
  held: number;
  known: number;
}

export interface SightOptions<Seen extends Sighting> {
  /** Unix time in milliseconds. */
  now: number;
  /** If there are more new sightings than this, all of them are held. Default: no limit. */
  surgeLimit?: number | undefined;
  /** Written with the last chunk. Default: the stored progress stays. */
  progress?: Progress | undefined;
  /**
   * Stops after a chunk, without writing `progress`. If the sightings are to be held, none is written, and
   * `sight` throws.
   */
  signal?: AbortSignal | undefined;
  /** Called with the new sightings of each chunk after its commit, unless they are held. */
  onFresh?: (sightings: Seen[]) => void;
}

/** The part of the ledger that takes in what sources show. */
export function createSightings(db: Kysely<Tables>) {
  async function findUnseen<Seen extends Sighting>(
    on: Kysely<Tables>,
    leg: string,
    sightings: Seen[],
  ): Promise<Map<string, Seen>> {
    const unseen = new Map(sightings.map((each) => [each.key, each]));
    const keys = [...unseen.keys()].map((key) => [key]);
    const { rows } = await sql<{ key: string }>`
      select key from deliveries
      where leg = ${leg} and key in (select value->>0 from ${rowsOf(on, keys)})`.execute(on);
    for (const { key } of rows) unseen.delete(key);
    return unseen;
  }

  async function isSurge(
    leg: string,
    sightings: Iterable<Sighting>,
    { limit, signal }: { limit: number; signal: AbortSignal | undefined },
  ) {
    const keys = new Set<string>();
    for (const chunk of chunksOf(sightings)) {
      for (const key of (await findUnseen(db, leg, chunk)).keys()) keys.add(key);
      if (keys.size > limit) return true;
      if (signal?.aborted) return false;
      await yieldToOthers();
    }
    return false;
  }

  /** Inserts the new sightings of a chunk, and returns them. */
  async function insertUnseen<Seen extends Sighting>(
    on: Kysely<Tables>,
    leg: string,
    chunk: Seen[],
    { status, now }: { status: 'pending' | 'held'; now: number },
  ): Promise<Seen[]> {
    const unseen = chunk.length > 0 ? await findUnseen(on, leg, chunk) : new Map<string, Seen>();
    if (unseen.size === 0) return [];
    const values = [...unseen.values()].map(({ key, customerId, payload }) => [
      ...[key, customerId, JSON.stringify(payload)],
    ]);
    // A conflict arises when another replica, or an event during the poll, was quicker.
    const { rows } = await sql<{ key: string }>`
      insert into deliveries
        (leg, key, customer_id, payload, status, next_attempt_at, created_at, updated_at)
      select cast(${leg} as text), value->>0, value->>1, value->>2, cast(${status} as text),
        cast(${status === 'pending' ? now : null} as bigint), cast(${now} as bigint),
        cast(${now} as bigint)
      from ${rowsOf(on, values)} where true
      on conflict (leg, key) do nothing returning key`.execute(on);
    return rows.flatMap(({ key }) => unseen.get(key) ?? []);
  }

  return {
    /**
     * Writes what a source has shown, each chunk in one transaction. When this returns, every new sighting
     * is committed.
     *
     * @param sightings is read twice when there is a `surgeLimit`
     */
    async sight<Seen extends Sighting>(
      leg: string,
      sightings: Iterable<Seen>,
      { now, surgeLimit, progress, signal, onFresh }: SightOptions<Seen>,
    ): Promise<SightingCounts> {
      const counts = { fresh: 0, held: 0, known: 0 };
      const isHeld =
        surgeLimit !== undefined && (await isSurge(leg, sightings, { limit: surgeLimit, signal }));

      async function write(on: Transaction<Tables>, chunk: Seen[]): Promise<Seen[]> {
        const status = isHeld ? 'held' : 'pending';
        const inserted = await insertUnseen(on, leg, chunk, { status, now });
        counts[isHeld ? 'held' : 'fresh'] += inserted.length;
        counts.known += chunk.length - inserted.length;
        return inserted;
      }
      const advance = async (on: Transaction<Tables>) => {
        if (progress) await writeProgress(on, leg, progress, now);
      };

      if (isHeld) {
        // In one transaction: after a crash half way, the rest would be too few to be held.
        await db.transaction().execute(async (transaction) => {
          await lockInserts(transaction);
          for (const chunk of chunksOf(sightings)) {
            signal?.throwIfAborted();
            await write(transaction, chunk);
          }
          await advance(transaction);
        });
        return counts;
      }
      const chunks = chunksOf(sightings);
      for (let next = chunks.next(), isLast = false; !isLast && !signal?.aborted; ) {
        const chunk = next.value ?? [];
        next = chunks.next();
        isLast = next.done === true;
        const fresh = await db.transaction().execute(async (transaction) => {
          await lockInserts(transaction);
          const inserted = await write(transaction, chunk);
          if (isLast) await advance(transaction);
          return inserted;
        });
        if (fresh.length > 0) onFresh?.(fresh);
        await yieldToOthers();
      }
      return counts;
    },

    /** Writes everything that the target holds as delivered, sighted or not. */
    async adopt(leg: string, held: Evidence[], now: number): Promise<void> {
      // One statement must not insert the same row twice.
      const byKey = new Map(held.map((each) => [each.key, each]));
      for (const chunk of chunksOf([...byKey.values()])) {
        await db.transaction().execute(async (transaction) => {
          await lockInserts(transaction);
          const values = chunk.map(({ key, customerId, payload }) => [
            ...[key, customerId, JSON.stringify(payload)],
          ]);
          const { rows } = await sql<{ sequence: number; key: string }>`
            insert into deliveries (leg, key, customer_id, payload, status, created_at, updated_at)
            select cast(${leg} as text), value->>0, value->>1, value->>2, 'delivered',
              cast(${now} as bigint), cast(${now} as bigint)
            from ${rowsOf(transaction, values)} where true
            on conflict (leg, key) do update set status = 'delivered', next_attempt_at = null,
              lease_expires_at = null, fencing_token = deliveries.fencing_token + 1,
              updated_at = excluded.updated_at
              where deliveries.status != 'delivered'
            returning sequence, key`.execute(transaction);
          const events = rows.map(({ sequence, key }) => ({
            delivery: sequence,
            what: 'adopted',
            reason: byKey.get(key)?.evidence,
          }));
          await insertEvents(transaction, now, events);
        });
      }
    },
  };
}

/** An arbitrary number that nothing else locks in the same database. */
const INSERT_LOCK = 2_026_112_001;

/**
 * Only one transaction at a time inserts deliveries. On PostgreSQL, two transactions that insert the same
 * deliveries in different orders would deadlock, and PostgreSQL would abort one of them after a second.
 */
async function lockInserts(transaction: Transaction<Tables>): Promise<void> {
  if (isSqlite(transaction)) return;
  await sql`select pg_advisory_xact_lock(${INSERT_LOCK})`.execute(transaction);
}
