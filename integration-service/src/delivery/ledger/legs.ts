import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** How far a source has been read. */
export interface ReadProgress {
  /** Where the next read continues, in the source's own format; `undefined`: at the beginning. */
  position: unknown;
  /** When the source was last read from its beginning, Unix time in milliseconds. */
  sweptAt: number | undefined;
}

/** Whether this process may poll now, or another one has the turn. */
export type Turn =
  | ({ isMine: true; endsAt: number } & ReadProgress)
  | { isMine: false; waitMs: number; polledAt: number | null };

export interface TurnOptions {
  /** Unix time in milliseconds, as are the other times. */
  now: number;
  forMs: number;
  maxMs: number;
  ownEndsAt?: number | undefined;
  polledAt?: number | undefined;
}

type ProgressRow = Pick<Selectable<Tables['legs']>, 'position' | 'swept_at'>;

function toProgress(row: ProgressRow | undefined): ReadProgress {
  return {
    position: row?.position ? JSON.parse(row.position) : undefined,
    sweptAt: row?.swept_at ?? undefined,
  };
}

/** The part of the ledger that stores what is known about a leg as a whole. */
export function createLegs(db: Kysely<Tables>) {
  return {
    /** Whether the target of a leg has been asked what it holds. */
    async isAdopted(leg: string): Promise<boolean> {
      const row = await db
        .selectFrom('legs')
        .select('adopted_at')
        .where('leg', '=', leg)
        .executeTakeFirst();
      return row?.adopted_at != null;
    },

    /** Marks a leg as adopted: everything that its target held is in the ledger. */
    async setAdopted(leg: string, now: number): Promise<void> {
      await db
        .insertInto('legs')
        .values({ leg, adopted_at: now, turn_ends_at: 0, polled_at: null })
        .onConflict((conflict) => conflict.column('leg').doUpdateSet({ adopted_at: now }))
        .execute();
    },

    /**
     * Takes the turn to poll a source, for `forMs`: of many replicas, one polls. If another process has the
     * turn, tells for how long, and when a poll last succeeded. A turn longer than `maxMs` was written
     * under a wrong clock, and is taken; so is the turn that ends at `ownEndsAt`, which this process still
     * has. `polledAt` is written as the time of the last successful poll.
     */
    async takeTurn(leg: string, options: TurnOptions): Promise<Turn> {
      const { now, forMs, maxMs, ownEndsAt = null, polledAt = null } = options;
      const endsAt = now + forMs;
      const { rows } = await sql<ProgressRow>`
        insert into legs (leg, turn_ends_at, polled_at)
        values (${leg}, ${endsAt}, cast(${polledAt} as bigint))
        on conflict (leg) do update set turn_ends_at = excluded.turn_ends_at,
          polled_at = coalesce(excluded.polled_at, legs.polled_at)
          where legs.turn_ends_at <= ${now} or legs.turn_ends_at > ${now + maxMs}
            or legs.turn_ends_at = cast(${ownEndsAt} as bigint)
        returning position, swept_at`.execute(db);
      if (rows[0]) return { isMine: true, endsAt, ...toProgress(rows[0]) };
      const row = await db
        .selectFrom('legs')
        .select(['turn_ends_at', 'polled_at'])
        .where('leg', '=', leg)
        .executeTakeFirstOrThrow();
      return { isMine: false, waitMs: row.turn_ends_at - now, polledAt: row.polled_at };
    },

    /** How far the source has been read, according to the ledger. */
    async readProgress(leg: string): Promise<ReadProgress> {
      const row = await db
        .selectFrom('legs')
        .select(['position', 'swept_at'])
        .where('leg', '=', leg)
        .executeTakeFirst();
      return toProgress(row);
    },

    /** Makes the next poll read the source from its beginning, because its position has failed. */
    async forgetPosition(leg: string): Promise<void> {
      await db.updateTable('legs').set({ position: null }).where('leg', '=', leg).execute();
    },

    /**
     * Moves the end of this process's turn. `polledAt` is written as the time of the last successful poll.
     */
    async endTurn(leg: string, endsAt: number, polledAt?: number): Promise<void> {
      await sql`
        update legs set turn_ends_at = ${endsAt},
          polled_at = coalesce(cast(${polledAt ?? null} as bigint), polled_at)
        where leg = ${leg}`.execute(db);
    },
  };
}

/** How far a source has now been read. */
export interface Progress {
  /** Where the next read continues, in the source's own format; `undefined`: at the beginning. */
  position: unknown;
  /** The source was read from its beginning. */
  isWhole: boolean;
}

export async function writeProgress(
  transaction: Transaction<Tables>,
  leg: string,
  { position, isWhole }: Progress,
  now: number,
): Promise<void> {
  const columns = {
    position: position === undefined ? null : JSON.stringify(position),
    ...(isWhole && { swept_at: now }),
  };
  await transaction
    .insertInto('legs')
    .values({ leg, adopted_at: null, turn_ends_at: 0, polled_at: null, ...columns })
    .onConflict((conflict) => conflict.column('leg').doUpdateSet(columns))
    .execute();
}
