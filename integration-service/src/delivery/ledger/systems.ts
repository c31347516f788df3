import { type Kysely, sql } from 'kysely';
import type { Tables } from './tables.ts';

/** When a system was asked for last, and until when it wants to be left alone: Unix time in milliseconds. */
export interface StoredPause {
  pausedAt: number;
  pausedUntil: number;
}

/** The part of the ledger that keeps what is known of a foreign system, for all replicas. */
export function createSystems(db: Kysely<Tables>) {
  return {
    /** The latest pause of a system, be it over or not. */
    async readPause(system: string): Promise<StoredPause | undefined> {
      const row = await db
        .selectFrom('systems')
        .select(['paused_at as pausedAt', 'paused_until as pausedUntil'])
        .where('name', '=', system)
        .executeTakeFirst();
      return row;
    },

    /** Writes a pause down, unless one is there that ends later and was not written in the future. */
    async savePause(system: string, { pausedAt, pausedUntil }: StoredPause): Promise<void> {
      await sql`
        insert into systems (name, paused_at, paused_until)
        values (${system}, ${pausedAt}, ${pausedUntil})
        on conflict (name) do update
          set paused_at = excluded.paused_at, paused_until = excluded.paused_until
          where systems.paused_until < excluded.paused_until
            or systems.paused_at > excluded.paused_at`.execute(db);
    },
  };
}
