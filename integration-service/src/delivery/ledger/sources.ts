import { type Kysely, sql } from 'kysely';
import type { Ledger, Progress } from './ledger.ts';
import type { Tables } from './tables.ts';

interface ProgressRow {
  position: string | null;
  swept_at: number | null;
}

function toProgress(row: ProgressRow | undefined): Progress {
  return {
    position: row?.position ? JSON.parse(row.position) : undefined,
    sweptAt: row?.swept_at ?? undefined,
  };
}

/** The part of the ledger that stores how far sources are read, and who polls them. */
export function createSources(
  db: Kysely<Tables>,
): Pick<
  Ledger,
  | 'takePollLease'
  | 'endPollLease'
  | 'readProgress'
  | 'writeProgress'
  | 'forgetPosition'
  | 'polledAt'
  | 'isAdopted'
  | 'setAdopted'
> {
  const of = (flow: string, source: string) =>
    db.selectFrom('sources').where('flow', '=', flow).where('source', '=', source);

  return {
    async isAdopted(flow) {
      const row = await db
        .selectFrom('flows')
        .select('adopted_at')
        .where('flow', '=', flow)
        .executeTakeFirst();
      return row?.adopted_at != null;
    },

    async setAdopted(flow, now) {
      await db
        .insertInto('flows')
        .values({ flow, adopted_at: now })
        .onConflict((conflict) => conflict.column('flow').doUpdateSet({ adopted_at: now }))
        .execute();
    },

    async takePollLease(flow, source, { now, forMs, maxMs, ownEndsAt = null, polledAt = null }) {
      const endsAt = now + forMs;
      const { rows } = await sql<ProgressRow>`
        insert into sources (flow, source, lease_ends_at, polled_at)
        values (${flow}, ${source}, ${endsAt}, cast(${polledAt} as bigint))
        on conflict (flow, source) do update set lease_ends_at = excluded.lease_ends_at,
          polled_at = coalesce(excluded.polled_at, sources.polled_at)
          where sources.lease_ends_at <= ${now} or sources.lease_ends_at > ${now + maxMs}
            or sources.lease_ends_at = cast(${ownEndsAt} as bigint)
        returning position, swept_at`.execute(db);
      if (rows[0]) return { isMine: true, endsAt, ...toProgress(rows[0]) };
      const row = await of(flow, source)
        .select(['lease_ends_at', 'polled_at'])
        .executeTakeFirstOrThrow();
      return { isMine: false, waitMs: row.lease_ends_at - now, polledAt: row.polled_at };
    },

    async endPollLease(flow, source, endsAt, polledAt) {
      await sql`
        update sources set lease_ends_at = ${endsAt},
          polled_at = coalesce(cast(${polledAt ?? null} as bigint), polled_at)
        where flow = ${flow} and source = ${source}`.execute(db);
    },

    async readProgress(flow, source) {
      return toProgress(await of(flow, source).select(['position', 'swept_at']).executeTakeFirst());
    },

    async writeProgress(transaction, of, { position, isWhole }, now) {
      const columns = {
        position: position === undefined ? null : JSON.stringify(position),
        ...(isWhole && { swept_at: now }),
      };
      await transaction
        .insertInto('sources')
        .values({ ...of, ...columns })
        .onConflict((conflict) => conflict.columns(['flow', 'source']).doUpdateSet(columns))
        .execute();
    },

    async forgetPosition(flow, source) {
      await db
        .updateTable('sources')
        .set({ position: null })
        .where('flow', '=', flow)
        .where('source', '=', source)
        .execute();
    },

    async polledAt(flow) {
      const { at } = await db
        .selectFrom('sources')
        .select(({ fn }) => fn.max('polled_at').as('at'))
        .where('flow', '=', flow)
        .executeTakeFirstOrThrow();
      return at;
    },
  };
}
