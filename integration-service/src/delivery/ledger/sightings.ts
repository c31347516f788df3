import { createHash } from 'node:crypto';
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Kysely, Transaction } from 'kysely';
import type { Evidence, Sighting } from '../delivery.ts';
import { chunksOf, insertEvents, storable } from './events.ts';
import type { Tables } from './tables.ts';

/** A record of a source that can never become a delivery. */
export interface RejectedRecord {
  /** The record, or how it begins. */
  record: string;
  reason: string;
}

/** What became of the sightings of one poll: each is counted in one of the three. */
export interface SightingResult<Seen extends Sighting> {
  fresh: Seen[];
  held: Seen[];
  known: number;
}

/** The part of the ledger in which sources write what they have seen. */
export function createSightings(db: Kysely<Tables>) {
  /** Those that the ledger does not know, each once, and how many there were in all. */
  async function findUnseen<Seen extends Sighting>(leg: string, sightings: Iterable<Seen>) {
    const byKey = new Map<string, Seen>();
    let count = 0;
    for (const chunk of chunksOf(sightings)) {
      count += chunk.length;
      const rows = await db
        .selectFrom('deliveries')
        .select('key')
        .where('leg', '=', leg)
        .where(
          'key',
          'in',
          chunk.map(({ key }) => key),
        )
        .execute();
      const known = new Set(rows.map(({ key }) => key));
      for (const sighting of chunk) {
        if (!known.has(sighting.key)) byKey.set(sighting.key, sighting);
      }
      await yieldToOthers();
    }
    return { unseen: [...byKey.values()], count };
  }

  async function insert<Seen extends Sighting>(
    on: Kysely<Tables> | Transaction<Tables>,
    leg: string,
    sightings: Seen[],
    status: 'pending' | 'held',
    now: number,
  ): Promise<Seen[]> {
    const rows = await on
      .insertInto('deliveries')
      .values(
        sightings.map(({ key, customerId, payload }) => ({
          leg,
          key,
          customer_id: customerId,
          payload: JSON.stringify(payload),
          status,
          next_attempt_at: status === 'pending' ? now : null,
          created_at: now,
          updated_at: now,
        })),
      )
      // Another replica, or an event beside the poll, may have been quicker.
      .onConflict((conflict) => conflict.columns(['leg', 'key']).doNothing())
      .returning('key')
      .execute();
    const inserted = new Set(rows.map(({ key }) => key));
    return sightings.filter(({ key }) => inserted.has(key));
  }

  return {
    /**
     * Writes down what a source has shown. When this returns, every new sighting is committed. More
     * than `surgeLimit` new ones at once are held, all of them.
     */
    async sight<Seen extends Sighting>(
      leg: string,
      sightings: Iterable<Seen>,
      { now, surgeLimit }: { now: number; surgeLimit?: number | undefined },
    ): Promise<SightingResult<Seen>> {
      const { unseen, count } = await findUnseen(leg, sightings);
      const result: SightingResult<Seen> = { fresh: [], held: [], known: 0 };
      if (surgeLimit !== undefined && unseen.length > surgeLimit) {
        // In one transaction: after a crash half way, the rest would be few enough to slip through.
        await db.transaction().execute(async (transaction) => {
          for (const chunk of chunksOf(unseen)) {
            result.held.push(...(await insert(transaction, leg, chunk, 'held', now)));
          }
        });
      } else {
        for (const chunk of chunksOf(unseen)) {
          result.fresh.push(...(await insert(db, leg, chunk, 'pending', now)));
          await yieldToOthers();
        }
      }
      result.known = count - result.fresh.length - result.held.length;
      return result;
    },

    /** Keeps records that cannot be used, with the reason; returns those that were not known. */
    async reject<Rejected extends RejectedRecord>(
      leg: string,
      records: Rejected[],
      now: number,
    ): Promise<Rejected[]> {
      const fresh: Rejected[] = [];
      for (const rejected of records) {
        const { record, reason } = rejected;
        const fingerprint = createHash('sha256').update(record).digest('hex');
        const row = { leg, fingerprint, record: storable(record), reason, first_seen_at: now };
        const inserted = await db
          .insertInto('rejected_records')
          .values(row)
          .onConflict((conflict) => conflict.columns(['leg', 'fingerprint']).doNothing())
          .returning('fingerprint')
          .executeTakeFirst();
        if (inserted) fresh.push(rejected);
      }
      return fresh;
    },

    /** Writes down as delivered what the target turned out to hold, sighted or not. */
    async adopt(leg: string, held: Evidence[], now: number): Promise<void> {
      // One statement must not meet the same row twice.
      const byKey = new Map(held.map((each) => [each.key, each]));
      for (const chunk of chunksOf([...byKey.values()])) {
        await db.transaction().execute(async (transaction) => {
          const rows = await transaction
            .insertInto('deliveries')
            .values(
              chunk.map(({ key, customerId, payload }) => ({
                leg,
                key,
                customer_id: customerId,
                payload: JSON.stringify(payload),
                status: 'delivered' as const,
                next_attempt_at: null,
                created_at: now,
                updated_at: now,
              })),
            )
            .onConflict((conflict) =>
              conflict
                .columns(['leg', 'key'])
                .doUpdateSet((eb) => ({
                  status: 'delivered',
                  next_attempt_at: null,
                  lease_expires_at: null,
                  fencing_token: eb('deliveries.fencing_token', '+', 1),
                  updated_at: now,
                }))
                .where('deliveries.status', '!=', 'delivered'),
            )
            .returning(['sequence', 'key'])
            .execute();
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
