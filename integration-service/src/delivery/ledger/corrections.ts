import { setImmediate as yieldToOthers } from 'node:timers/promises';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import { chunksOf } from '../chunks.ts';
import type { Status } from '../delivery.ts';
import { READS_OF_RELEASED } from '../transition.ts';
import type { Eraser } from './eraser.ts';
import { insertEvents, storable } from './history.ts';
import type { Ledger } from './ledger.ts';
import { matches } from './reading.ts';
import { rowsOf, textsOf, unindexed } from './rows.ts';
import { lockLanes, scrubEnded } from './superseding.ts';

/** It has no successor, and its record is there, or it is what removes the record. */
const mayBeSent = sql<boolean>`(superseded_by is null and payload is not null
  and (operation = 'delete' or lane not in (select lane from ended_lanes)))`;

/** It may be sent, nothing of its lane was ingested later in its flow, and it was delivered before a time. */
function isCurrent(deliveredBefore: number | undefined): RawBuilder<boolean> {
  return sql<boolean>`(${mayBeSent}
    and ${deliveredBefore === undefined ? sql`true` : sql`updated_at < ${deliveredBefore}`}
    and not exists (
      select 1 from deliveries as later
      where later.lane = deliveries.lane and later.lane != later.key
        and later.flow = deliveries.flow and later.sequence > deliveries.sequence))`;
}

/** Pending, with no attempt used up. */
const anew = sql`status = 'pending', attempts = 0, reads = 0, last_error = null`;

/** The part of the ledger with which people correct deliveries. */
export function createCorrections(db: Kysely<unknown>, eraser: Eraser) {
  /**
   * Moves deliveries to another status if they still have the status `from`; returns the sequence numbers
   * of those that were moved.
   *
   * @param reasons for the history of each delivery, by sequence number
   * @param how `set` changes the columns; `moved.reason` is the reason; `isLatest`: `where` asks that nothing of
   *   the lane was ingested later
   */
  async function move(
    reasons: ReadonlyMap<number, string | undefined>,
    how: {
      from: Status;
      set: RawBuilder<unknown>;
      what: string;
      isEnd?: boolean;
      isLatest?: boolean;
      where?: RawBuilder<boolean>;
    },
    now: number,
  ): Promise<number[]> {
    const { from, set, what, isEnd = false, isLatest = false } = how;
    const { where = isEnd ? sql<boolean>`true` : mayBeSent } = how;
    const nextAttemptAt = isEnd ? null : now;
    const moved: number[] = [];
    // In chunks, so that a service, in another process or in this one, can work in between.
    for (const chunk of chunksOf(reasons)) {
      const values = chunk.map(([sequence, reason]) => [sequence, storable(reason ?? null)]);
      await db.transaction().execute(async (transaction) => {
        // A lane that ends at the same moment would not see what becomes pending, nor this its end. Nor would
        // this see what is ingested at the same moment, which would not supersede it: alone, it sees all.
        await lockLanes(transaction, isLatest);
        // What has a successor, or whose record is gone, is never to be sent.
        const { rows } = await sql<{ sequence: number; lane: string }>`
          update deliveries set ${set}, updated_at = ${now},
            next_attempt_at = cast(${nextAttemptAt} as bigint), fencing_token = fencing_token + 1
          from (select cast(value->>0 as bigint) as number, value->>1 as reason
            from ${rowsOf(transaction, values)}) as moved
          where sequence = moved.number
            and ${unindexed(sql`status = ${from} and ${where}`)}
          returning sequence, lane`.execute(transaction);
        const events = rows.map(({ sequence }) => {
          return { delivery: sequence, what, reason: reasons.get(sequence), nextAttemptAt };
        });
        await insertEvents(transaction, now, events);
        const lanes = rows.map(({ lane }) => lane);
        if (isEnd) await scrubEnded(transaction, lanes, eraser);
        for (const { sequence } of rows) moved.push(sequence);
      });
      await yieldToOthers();
    }
    await eraser.erase();
    return moved;
  }

  /** The same reasons, by the sequence numbers of the deliveries. */
  async function numbersOfKeys(
    flow: string,
    reasons: ReadonlyMap<string, string>,
  ): Promise<Map<number, string>> {
    const found = new Map<number, string>();
    for (const keys of chunksOf(reasons.keys())) {
      const { rows } = await sql<{ sequence: number; key: string }>`
        select sequence, key from deliveries
        where flow = ${flow} and key in ${textsOf(db, keys)}`.execute(db);
      for (const { sequence, key } of rows) found.set(sequence, reasons.get(key) as string);
    }
    return found;
  }

  return {
    replay: (sequences, now) =>
      move(
        new Map(sequences.map((sequence) => [sequence, undefined])),
        { from: 'dead', set: anew, what: 'replayed' },
        now,
      ),

    markFound: (targetIds, now) =>
      move(
        targetIds,
        {
          ...{ from: 'dead', what: 'found', isEnd: true },
          set: sql`status = 'delivered', reads = 0, last_error = null, target_id = moved.reason`,
        },
        now,
      ),

    async release(filter, now) {
      let released = 0;
      for (let after = 0; ; ) {
        const { rows } = await sql<{ sequence: number }>`
          select sequence from deliveries
          where ${matches(db, filter, 'held')} and sequence > ${after}
          order by sequence limit 1000`.execute(db);
        if (rows.length === 0) return released;
        after = rows.at(-1)?.sequence ?? after;
        const set = sql`status = case when attempts > 0 then 'unknown' else 'pending' end,
          reads = case when attempts > 0 then ${READS_OF_RELEASED} else 0 end, last_error = null`;
        const reasons = new Map(rows.map(({ sequence }) => [sequence, undefined]));
        released += (await move(reasons, { from: 'held', set, what: 'released' }, now)).length;
      }
    },

    async sendAgain(flow, reasons, { deliveredBefore, now }) {
      const where = isCurrent(deliveredBefore);
      const how = {
        from: 'delivered',
        set: anew,
        what: 'repaired',
        isLatest: true,
        where,
      } as const;
      return (await move(await numbersOfKeys(flow, reasons), how, now)).length;
    },

    async giveUp(flow, reasons, { deliveredBefore, now }) {
      const where = isCurrent(deliveredBefore);
      const set = sql`status = 'dead', last_error = moved.reason`;
      const how = {
        from: 'delivered',
        set,
        what: 'dead',
        isEnd: true,
        isLatest: true,
        where,
      } as const;
      return (await move(await numbersOfKeys(flow, reasons), how, now)).length;
    },

    async saveAudit(flow, counts, now) {
      await sql`
        insert into audits (flow, finished_at, counts)
        values (${flow}, ${now}, ${JSON.stringify(counts)})`.execute(db);
    },
  } satisfies Partial<Ledger>;
}
