import { type Kysely, sql } from 'kysely';
import type { Ledger, Progress, StoredPause } from './ledger.ts';

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
export function createSources(db: Kysely<unknown>) {
  return {
    async isAdopted(flow) {
      const { rows } = await sql<{ adopted_at: number | null }>`
        select adopted_at from flows where flow = ${flow}`.execute(db);
      return rows[0]?.adopted_at != null;
    },

    async setAdopted(flow, now) {
      await sql`
        insert into flows (flow, adopted_at) values (${flow}, ${now})
        on conflict (flow) do update set adopted_at = excluded.adopted_at`.execute(db);
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
      const others = await sql<{ ends_at: number; polled_at: number | null }>`
        select lease_ends_at as ends_at, polled_at from sources
        where flow = ${flow} and source = ${source}`.execute(db);
      const [other = { ends_at: now, polled_at: null }] = others.rows;
      return { isMine: false, waitMs: other.ends_at - now, polledAt: other.polled_at };
    },

    async endPollLease(flow, source, endsAt, polledAt) {
      await sql`
        update sources set lease_ends_at = ${endsAt},
          polled_at = coalesce(cast(${polledAt ?? null} as bigint), polled_at)
        where flow = ${flow} and source = ${source}`.execute(db);
    },

    async readProgress(flow, source) {
      const { rows } = await sql<ProgressRow>`
        select position, swept_at from sources
        where flow = ${flow} and source = ${source}`.execute(db);
      return toProgress(rows[0]);
    },

    async writeProgress(transaction, of, { position, isWhole }, now) {
      const text = position === undefined ? null : JSON.stringify(position);
      await sql`
        insert into sources (flow, source, position, swept_at)
        values (${of.flow}, ${of.source}, ${text}, cast(${isWhole ? now : null} as bigint))
        on conflict (flow, source) do update set position = excluded.position,
          swept_at = coalesce(excluded.swept_at, sources.swept_at)`.execute(transaction);
    },

    async forgetPosition(flow, source) {
      await sql`
        update sources set position = null
        where flow = ${flow} and source = ${source}`.execute(db);
    },

    async readPause(system) {
      const { rows } = await sql<StoredPause>`
        select paused_at as "pausedAt", paused_until as "pausedUntil" from systems
        where name = ${system}`.execute(db);
      return rows[0];
    },

    async savePause(system, { pausedAt, pausedUntil }) {
      await sql`
        insert into systems (name, paused_at, paused_until)
        values (${system}, ${pausedAt}, ${pausedUntil})
        on conflict (name) do update
          set paused_at = excluded.paused_at, paused_until = excluded.paused_until
          where systems.paused_until < excluded.paused_until
            or systems.paused_at > excluded.paused_at`.execute(db);
    },

    async polledAt(flow) {
      const { rows } = await sql<{ at: number | null }>`
        select max(polled_at) as at from sources where flow = ${flow}`.execute(db);
      return rows[0]?.at ?? null;
    },
  } satisfies Partial<Ledger>;
}
