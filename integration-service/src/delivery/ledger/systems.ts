import { type Kysely, sql } from 'kysely';
import type { Ledger } from './ledger.ts';
import type { Tables } from './tables.ts';

/** The part of the ledger that stores what is known about foreign systems, for all replicas. */
export function createSystems(db: Kysely<Tables>): Pick<Ledger, 'readPause' | 'savePause'> {
  return {
    async readPause(system) {
      const row = await db
        .selectFrom('systems')
        .select(['paused_at as pausedAt', 'paused_until as pausedUntil'])
        .where('name', '=', system)
        .executeTakeFirst();
      return row;
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
  };
}
