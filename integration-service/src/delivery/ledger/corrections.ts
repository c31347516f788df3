import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import type { Status } from '../delivery.ts';
import { READS_OF_RELEASED } from '../transition.ts';
import { lanesToScrub, scrub } from './ended-lanes.ts';
import { chunksOf, insertEvents, storable } from './history.ts';
import type { Ledger } from './ledger.ts';
import { matches } from './reading.ts';
import { rowsOf } from './rows.ts';
import type { DeliveryRow, LedgerTransaction } from './tables.ts';
import { toClaim } from './work.ts';

/** It has no successor, and its record is there, or it is what removes the record. */
const mayBeSent = sql<boolean>`(superseded_by is null and payload is not null
  and (operation = 'delete' or lane not in (select lane from ended_lanes)))`;

/** The part of the ledger with which people correct deliveries. */
export function createCorrections(db: Kysely<unknown>) {
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
        const wanted = chunk.map((sequence) => [sequence]);
        // What has a successor, or whose record is gone, is never to be sent.
        const { rows: updated } = await sql<{ sequence: number; lane: string }>`
          update deliveries set status = ${to}, reads = ${to === 'unknown' ? READS_OF_RELEASED : 0},
            attempts = ${to === 'pending' ? sql`0` : sql`attempts`}, last_error = null,
            next_attempt_at = cast(${nextAttemptAt} as bigint),
            fencing_token = fencing_token + 1, updated_at = ${now}
          where sequence in (select cast(value->>0 as bigint) from ${rowsOf(transaction, wanted)})
            and status = ${from} and ${to === 'delivered' ? sql`true` : mayBeSent}
          returning sequence, lane`.execute(transaction);
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
      const { rows } = await sql<DeliveryRow>`
        select * from deliveries
        where ${matches(db, { ...filter, status: 'dead' })} and sequence > ${after}
        order by sequence limit ${limit}`.execute(db);
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
        const { rows } = await sql<Pick<DeliveryRow, 'sequence' | 'attempts'>>`
          select sequence, attempts from deliveries where ${matches(db, { ...filter, status: 'held' })}
          order by sequence limit 1000`.execute(db);
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
      const { rows } = await sql<{ sequence: number }>`
        select sequence from deliveries where flow = ${flow} and key = ${key}`.execute(db);
      const sequences = rows.map(({ sequence }) => sequence);
      const reason = 'an audit found that the target does not have it';
      const how = {
        from: 'delivered',
        to: 'pending',
        what: 'repaired',
        reasonOf: () => reason,
      } as const;
      return (await move(sequences, how, now)).length;
    },

    async saveAudit(flow, counts, now) {
      await sql`
        insert into audits (flow, finished_at, counts)
        values (${flow}, ${now}, ${JSON.stringify(counts)})`.execute(db);
    },
  } satisfies Partial<Ledger>;
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
