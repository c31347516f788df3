import { type Kysely, sql } from 'kysely';
import type { Tables } from './tables.ts';

/** When a system last asked for a pause, and until when: Unix time in milliseconds. */
export interface StoredPause {
  pausedAt: number;
  pausedUntil: number;
}

/** The part of the ledger that stores what is known about foreign systems, for all replicas. */
export function createSystems(db: Kysely<Tables>) {
  return {
    /** The latest pause of a system, even if it is over. */
    async readPause(system: string): Promise<StoredPause | undefined> {
      const row = await db
        .selectFrom('systems')
        .select(['paused_at as pausedAt', 'paused_until as pausedUntil'])
        .where('name', '=', system)
        .executeTakeFirst();
      return row;
    },

    /** Writes a pause, unless the ledger has one that ends later and was not written in the future. */
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
