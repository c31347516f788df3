import type { Kysely } from 'kysely';
import type { Sighting, Status } from '../delivery.ts';
import { chunksOf, type EventOfDelivery, insertEvents } from './events.ts';
import { type DeliveryFilter, filtered } from './reading.ts';
import type { Tables } from './tables.ts';
import { toClaim } from './work.ts';

/** The part of the ledger by which people set things right. */
export function createCorrections(db: Kysely<Tables>) {
  /** Moves deliveries to another status, those that still have the one they are taken for. */
  async function move(
    sequences: number[],
    { from, to, what, reason }: { from: Status; to: Status; what: string; reason?: string },
    now: number,
  ): Promise<number> {
    return db.transaction().execute(async (transaction) => {
      const nextAttemptAt = to === 'pending' ? now : null;
      const events: EventOfDelivery[] = [];
      for (const chunk of chunksOf(sequences)) {
        const rows = await transaction
          .updateTable('deliveries')
          .set((eb) => ({
            status: to,
            attempts: to === 'pending' ? 0 : eb.ref('attempts'),
            reads: 0,
            next_attempt_at: nextAttemptAt,
            fencing_token: eb('fencing_token', '+', 1),
            last_error: null,
            updated_at: now,
          }))
          .where('sequence', 'in', chunk)
          .where('status', '=', from)
          .returning('sequence')
          .execute();
        for (const { sequence } of rows) {
          events.push({ delivery: sequence, what, reason, nextAttemptAt });
        }
      }
      await insertEvents(transaction, now, events);
      return events.length;
    });
  }

  return {
    /** Up to `limit` dead letters after a sequence number. */
    async deadLetters(filter: DeliveryFilter, limit: number, after = 0) {
      const rows = await filtered(db.selectFrom('deliveries').selectAll(), {
        ...filter,
        status: 'dead',
      })
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
      return rows.map(toClaim);
    },

    /** Puts dead letters back to pending, with all their attempts before them again. */
    replay: (sequences: number[], now: number) =>
      move(sequences, { from: 'dead', to: 'pending', what: 'replayed' }, now),

    /** Marks a dead letter as delivered: the target has it. */
    bury: (sequence: number, evidence: string, now: number) =>
      move([sequence], { from: 'dead', to: 'delivered', what: 'found', reason: evidence }, now),

    /** Lets go what the surge guard holds; returns how many there were. */
    async release(leg: string | undefined, now: number): Promise<number> {
      let released = 0;
      for (;;) {
        const rows = await filtered(db.selectFrom('deliveries').select('sequence'), {
          leg,
          status: 'held',
        })
          .orderBy('sequence')
          .limit(1_000)
          .execute();
        if (rows.length === 0) return released;
        const sequences = rows.map(({ sequence }) => sequence);
        released += await move(sequences, { from: 'held', to: 'pending', what: 'released' }, now);
      }
    },

    /**
     * Has delivered once more what the target has lost, and for the first time what the ledger never
     * saw. Returns how many became pending.
     */
    async repair(leg: string, missing: Sighting[], now: number): Promise<number> {
      let repaired = 0;
      for (const { key, customerId, payload } of missing) {
        const row = await db
          .insertInto('deliveries')
          .values({
            leg,
            key,
            customer_id: customerId,
            payload: JSON.stringify(payload),
            status: 'pending',
            next_attempt_at: now,
            created_at: now,
            updated_at: now,
          })
          .onConflict((conflict) => conflict.columns(['leg', 'key']).doNothing())
          .returning('sequence')
          .executeTakeFirst();
        if (row) {
          repaired += 1;
          continue;
        }
        const { sequence } = await db
          .selectFrom('deliveries')
          .select('sequence')
          .where('leg', '=', leg)
          .where('key', '=', key)
          .executeTakeFirstOrThrow();
        const why = { what: 'repaired', reason: 'an audit found that the target does not have it' };
        repaired += await move([sequence], { from: 'delivered', to: 'pending', ...why }, now);
      }
      return repaired;
    },

    /** Keeps what an audit found, for the metrics of the running service. */
    async saveAudit(leg: string, counts: Record<string, number>, now: number): Promise<void> {
      await db
        .insertInto('audits')
        .values({ leg, finished_at: now, counts: JSON.stringify(counts) })
        .execute();
    },
  };
}
