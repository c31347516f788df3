import type { Kysely, Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** The part of the ledger that keeps what is known of a leg as a whole. */
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

    /** From now on the leg is adopted: all that its target held is in the ledger. */
    async setAdopted(leg: string, now: number): Promise<void> {
      await db
        .insertInto('legs')
        .values({ leg, adopted_at: now, turn_ends_at: 0, polled_at: null })
        .onConflict((conflict) => conflict.column('leg').doUpdateSet({ adopted_at: now }))
        .execute();
    },

    /**
     * Takes the turn to poll a source, for `forMs`: of many replicas one polls. Without success, tells
     * how long somebody else has it, and when a poll last succeeded. A turn longer than `maxMs` was
     * written under a clock that was wrong, and is taken.
     */
    async takeTurn(
      leg: string,
      { now, forMs, maxMs }: { now: number; forMs: number; maxMs: number },
    ): Promise<{ isMine: true } | { isMine: false; waitMs: number; polledAt: number | null }> {
      const taken = await db
        .insertInto('legs')
        .values({ leg, adopted_at: null, turn_ends_at: now + forMs, polled_at: null })
        .onConflict((conflict) =>
          conflict
            .column('leg')
            .doUpdateSet({ turn_ends_at: now + forMs })
            .where((eb) =>
              eb.or([
                eb('legs.turn_ends_at', '<=', now),
                eb('legs.turn_ends_at', '>', now + maxMs),
              ]),
            ),
        )
        .returning('leg')
        .executeTakeFirst();
      if (taken) return { isMine: true };
      const row = await db
        .selectFrom('legs')
        .select(['turn_ends_at', 'polled_at'])
        .where('leg', '=', leg)
        .executeTakeFirstOrThrow();
      return { isMine: false, waitMs: row.turn_ends_at - now, polledAt: row.polled_at };
    },

    /** How far the source was read, as it was last written down. */
    async readProgress(leg: string): Promise<{ position: unknown; sweptAt: number | undefined }> {
      const row = await db
        .selectFrom('legs')
        .select(['position', 'swept_at'])
        .where('leg', '=', leg)
        .executeTakeFirst();
      return {
        position: row?.position ? JSON.parse(row.position) : undefined,
        sweptAt: row?.swept_at ?? undefined,
      };
    },

    /** Moves the end of the turn that this process has; with `polledAt`, after a poll that succeeded. */
    async endTurn(leg: string, endsAt: number, polledAt?: number): Promise<void> {
      await db
        .updateTable('legs')
        .set({ turn_ends_at: endsAt, ...(polledAt !== undefined && { polled_at: polledAt }) })
        .where('leg', '=', leg)
        .execute();
    },
  };
}

/** How far a source was read. */
export interface Progress {
  /** Where it goes on, in its own words. Without, it must be read from its beginning. */
  position: unknown;
  /** It was read from its beginning. */
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
