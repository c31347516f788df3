import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import type { Status } from '../delivery.ts';
import { READS_OF_RELEASED } from '../transition.ts';
import { lanesToScrub, scrub } from './ended-lanes.ts';
import { chunksOf, insertEvents, storable } from './history.ts';
import type { Ledger } from './ledger.ts';
import { filtered } from './reading.ts';
import { rowsOf } from './rows.ts';
import type { LedgerTransaction, Tables } from './tables.ts';
import { toClaim } from './work.ts';

/** It has no successor, and its record is there, or it is what removes the record. */
const mayBeSent = sql<boolean>`(superseded_by is null and payload is not null
  and (operation = 'delete' or lane not in (select lane from ended_lanes)))`;

/** The part of the ledger with which people correct deliveries. */
export function createCorrections(
  db: Kysely<Tables>,
): Pick<Ledger, 'deadLetters' | 'replay' | 'markFound' | 'release' | 'repair' | 'saveAudit'> {
  /**
   * Moves deliveries to another status if they still have the status `from`; returns the sequence numbers
   * of those that were moved.
   */
  async function move(
    sequences: readonly number[],
    how: {
      from: Status;
      to: Status;
      what: string;
      reasonOf?: (sequence: number) => string | undefined;
    },
    now: number,
  ): Promise<number[]> {
    const { from, to, what, reasonOf = () => undefined } = how;
    const nextAttemptAt = to === 'pending' || to === 'unknown' ? now : null;
    const moved: number[] = [];
    // In chunks, so that a service, in another process or in this one, can work in between.
    for (const chunk of chunksOf(sequences)) {
      const rows = await db.transaction().execute(async (transaction) => {
        const updated = await transaction
          .updateTable('deliveries')
          .set((eb) => ({
            status: to,
            attempts: to === 'pending' ? 0 : eb.ref('attempts'),
            reads: to === 'unknown' ? READS_OF_RELEASED : 0,
            next_attempt_at: nextAttemptAt,
            fencing_token: eb('fencing_token', '+', 1),
            last_error: null,
            updated_at: now,
          }))
          .where('sequence', 'in', chunk)
          .where('status', '=', from)
          // What has a successor, or whose record is gone, is never to be sent.
          .$if(to !== 'delivered', (query) => query.where(mayBeSent))
          .returning(['sequence', 'lane'])
          .execute();
        const events = updated.map(({ sequence }) => {
          return { delivery: sequence, what, reason: reasonOf(sequence), nextAttemptAt };
        });
        await insertEvents(transaction, now, events);
        if (to === 'delivered') {
          await setTargetIds(transaction, updated, reasonOf);
          const lanes = updated.map(({ lane }) => lane);
          const ended = await lanesToScrub(transaction, lanes);
          if (ended.length > 0) await scrub(transaction, ended);
        }
        return updated;
      });
      for (const { sequence } of rows) moved.push(sequence);
      await yieldToOthers();
    }
    return moved;
  }

  return {
    async deadLetters(filter, limit, after = 0) {
      const rows = await filtered(db, db.selectFrom('deliveries').selectAll(), {
        ...filter,
        status: 'dead',
      })
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
      return rows.map(toClaim);
    },

    replay: (sequences, now) =>
      move(sequences, { from: 'dead', to: 'pending', what: 'replayed' }, now),

    markFound: (targetIds, now) =>
      move(
        [...targetIds.keys()],
        { from: 'dead', to: 'delivered', what: 'found', reasonOf: (each) => targetIds.get(each) },
        now,
      ),

    async release(filter, now) {
      let released = 0;
      for (;;) {
        const rows = await filtered(
          db,
          db.selectFrom('deliveries').select(['sequence', 'attempts']),
          {
            ...filter,
            status: 'held',
          },
        )
          .orderBy('sequence')
          .limit(1_000)
          .execute();
        if (rows.length === 0) return released;
        for (const [isAttempted, to] of [
          [false, 'pending'],
          [true, 'unknown'],
        ] as const) {
          const those = rows.filter(({ attempts }) => attempts > 0 === isAttempted);
          const sequences = those.map(({ sequence }) => sequence);
          const moved = await move(sequences, { from: 'held', to, what: 'released' }, now);
          released += moved.length;
        }
      }
    },

    async repair(flow, key, now) {
      const row = await db
        .selectFrom('deliveries')
        .select('sequence')
        .where('flow', '=', flow)
        .where('key', '=', key)
        .executeTakeFirst();
      const reason = 'an audit found that the target does not have it';
      const how = {
        from: 'delivered',
        to: 'pending',
        what: 'repaired',
        reasonOf: () => reason,
      } as const;
      return row ? (await move([row.sequence], how, now)).length : 0;
    },

    async saveAudit(flow, counts, now) {
      await db
        .insertInto('audits')
        .values({ flow, finished_at: now, counts: JSON.stringify(counts) })
        .execute();
    },
  };
}

/** Keeps the target's own ids of what it turned out to have. */
async function setTargetIds(
  transaction: LedgerTransaction,
  deliveries: readonly { sequence: number }[],
  idOf: (sequence: number) => string | undefined,
): Promise<void> {
  const rows = deliveries.map(({ sequence }) => [sequence, storable(idOf(sequence) ?? null)]);
  await sql`
    update deliveries set target_id = found.id
    from (select cast(value->>0 as bigint) as number, value->>1 as id
      from ${rowsOf(transaction, rows)}) as found
    where sequence = found.number`.execute(transaction);
}
