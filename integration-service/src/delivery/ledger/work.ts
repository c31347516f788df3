import { type Kysely, sql, type Transaction } from 'kysely';
import { MAX_WAIT_MS } from 'service-kit/retry';
import type { Claim, Transition } from '../delivery.ts';
import { chunksOf, insertEvents, storable } from './events.ts';
import { isSqlite, rowsOf } from './rows.ts';
import type { DeliveryRow, Tables } from './tables.ts';

/** How long a claim holds without being renewed. */
export const LEASE_MS = 20_000;
/** A lease longer than this was written under a wrong clock; the clocks of replicas differ a bit. */
const MAX_LEASE_MS = 2 * LEASE_MS;

/** The clocks of replicas differ a bit: a time of writing that is up to this far in the future is fine. */
const CLOCK_SKEW_MS = 10_000;

/** The part of the ledger that workers use: claim, renew, commit. */
export function createWork(db: Kysely<Tables>, { skipLocked }: { skipLocked: boolean }) {
  /** The rows of a query as claims, in order of first sighting. */
  function claimed(rows: DeliveryRow[]): Claim[] {
    return rows.map(toClaim).sort((a, b) => a.sequence - b.sequence);
  }

  /** Makes deliveries whose worker is gone unknown, because their last attempt is; returns their keys. */
  async function orphan(
    transaction: Transaction<Tables>,
    leg: string,
    now: number,
    isOrphaned: 'all' | 'expired',
  ): Promise<string[]> {
    const rows = await transaction
      .updateTable('deliveries')
      .set((eb) => ({
        status: 'unknown',
        reads: 0,
        next_attempt_at: now,
        lease_expires_at: null,
        fencing_token: eb('fencing_token', '+', 1),
        last_error: WORKER_GONE,
        updated_at: now,
      }))
      .where('leg', '=', leg)
      .where('status', '=', 'sending')
      .$if(isOrphaned === 'expired', (query) => query.where(leaseIsOver(now)))
      .returning(['sequence', 'key', 'attempts'])
      .execute();
    await insertEvents(
      transaction,
      now,
      rows.map(({ sequence, attempts }) => ({
        delivery: sequence,
        what: 'lease_lost',
        attempt: attempts,
        reason: WORKER_GONE,
        nextAttemptAt: now,
      })),
    );
    return rows.map(({ key }) => key);
  }

  return {
    /**
     * Takes over deliveries whose lease is over, or, when no other service works on this ledger, all that a
     * worker left behind; returns the keys of those that were being sent. Cuts waits short that a wrong
     * clock made too long.
     */
    async recover(leg: string, now: number, { isAlone = false } = {}): Promise<string[]> {
      return db.transaction().execute(async (transaction) => {
        await transaction
          .updateTable('deliveries')
          .set({ next_attempt_at: now })
          .where('leg', '=', leg)
          .where('status', 'in', ['pending', 'unknown'])
          .where('next_attempt_at', '>', now + MAX_WAIT_MS)
          .execute();
        if (isAlone) {
          await transaction
            .updateTable('deliveries')
            .set({ lease_expires_at: null })
            .where('leg', '=', leg)
            .where('status', '=', 'unknown')
            .where('lease_expires_at', 'is not', null)
            .execute();
        }
        return orphan(transaction, leg, now, isAlone ? 'all' : 'expired');
      });
    },

    /**
     * Shortens waits that were written in the future, under a clock that was wrong or has gone back since:
     * each counts from now on, for its intended length. Looks at all deliveries that wait.
     */
    async recount(leg: string, now: number): Promise<void> {
      await sql`
        update deliveries set updated_at = ${now},
          next_attempt_at = ${now} + ${isSqlite(db) ? sql`max` : sql`greatest`}(0, next_attempt_at - updated_at)
        where leg = ${leg} and status in ('pending', 'unknown')
          and next_attempt_at > ${now} and updated_at > ${now + CLOCK_SKEW_MS}`.execute(db);
    },

    /**
     * Claims up to `limit` deliveries that are due, the longest due first. Of a lane, only the first
     * delivery that is neither delivered nor dead can be claimed, and only when no other is under way. The
     * attempt is counted here, so that a delivery which kills the process each time is not tried for ever.
     */
    async claim(leg: string, { limit, now }: { limit: number; now: number }): Promise<Claim[]> {
      const due = db
        .selectFrom('deliveries as due')
        .select('due.sequence')
        .where('due.leg', '=', leg)
        .where('due.status', '=', 'pending')
        .where('due.next_attempt_at', '<=', now)
        .where(isNextInLane)
        .orderBy('due.next_attempt_at')
        .orderBy('due.sequence')
        .limit(limit)
        .$if(skipLocked, (query) => query.forUpdate().skipLocked());
      const rows = await db
        .updateTable('deliveries')
        .set((eb) => ({
          status: 'sending',
          attempts: eb('attempts', '+', 1),
          reads: 0,
          next_attempt_at: null,
          fencing_token: eb('fencing_token', '+', 1),
          lease_expires_at: now + LEASE_MS,
          updated_at: now,
        }))
        .where('sequence', 'in', due)
        .returningAll()
        .execute();
      return claimed(rows);
    },

    /** Claims up to `limit` unknown deliveries that are due to be settled. They stay unknown. */
    async claimUnknown(leg: string, { limit, now }: { limit: number; now: number }) {
      const due = db
        .selectFrom('deliveries as due')
        .select('due.sequence')
        .where('due.leg', '=', leg)
        .where('due.status', '=', 'unknown')
        .where('due.next_attempt_at', '<=', now)
        .where(({ or, eb }) => or([eb('due.lease_expires_at', 'is', null), leaseIsOver(now)]))
        .orderBy('due.next_attempt_at')
        .limit(limit)
        .$if(skipLocked, (query) => query.forUpdate().skipLocked());
      const rows = await db
        .updateTable('deliveries')
        .set((eb) => ({
          fencing_token: eb('fencing_token', '+', 1),
          lease_expires_at: now + LEASE_MS,
        }))
        .where('sequence', 'in', due)
        .returningAll()
        .execute();
      return claimed(rows);
    },

    /** Renews the leases of claims; returns the claims that this worker no longer holds. */
    async renew(claims: Claim[], now: number): Promise<Claim[]> {
      const kept = new Set<number>();
      for (const chunk of chunksOf(claims)) {
        const own = chunk.map(({ sequence, fencingToken }) => [sequence, fencingToken]);
        const { rows } = await sql<Pick<DeliveryRow, 'sequence'>>`
          update deliveries set lease_expires_at = ${now + LEASE_MS}
          from (select cast(value->>0 as bigint) as number, cast(value->>1 as integer) as token
            from ${rowsOf(db, own)}) as claim
          where sequence = claim.number and fencing_token = claim.token
          returning sequence`.execute(db);
        for (const { sequence } of rows) kept.add(sequence);
      }
      return claims.filter(({ sequence }) => !kept.has(sequence));
    },

    /**
     * Writes the results of claims, all in one transaction. Claims that this worker no longer holds are not
     * written, and are returned.
     */
    async commit(
      results: { claim: Claim; transition: Transition }[],
      now: number,
    ): Promise<Claim[]> {
      return db.transaction().execute(async (transaction) => {
        const written = new Map<number, number>();
        for (const chunk of chunksOf(results)) {
          const { rows } = await sql<Pick<DeliveryRow, 'sequence' | 'fencing_token'>>`
            update deliveries set status = result.status, attempts = result.attempts,
              reads = result.reads, next_attempt_at = result.next_attempt_at,
              last_error = result.last_error, lease_expires_at = null, updated_at = ${now}
            from (select cast(value->>0 as bigint) as number, cast(value->>1 as integer) as token,
                value->>2 as status, cast(value->>3 as integer) as attempts,
                cast(value->>4 as integer) as reads, cast(value->>5 as bigint) as next_attempt_at,
                value->>6 as last_error
              from ${rowsOf(transaction, chunk.map(rowOf))}) as result
            where sequence = result.number and fencing_token = result.token
            returning sequence, fencing_token`.execute(transaction);
          for (const row of rows) written.set(row.sequence, row.fencing_token);
        }
        const isWritten = ({ claim }: { claim: Claim }) =>
          written.get(claim.sequence) === claim.fencingToken;
        const kept = results.filter(isWritten);
        await insertEvents(
          transaction,
          now,
          kept.flatMap(({ claim, transition: { event, nextAttemptAt } }) =>
            event ? [{ ...event, delivery: claim.sequence, nextAttemptAt }] : [],
          ),
        );
        return results.flatMap((result) => (isWritten(result) ? [] : [result.claim]));
      });
    },

    /**
     * Finds out, in one cheap query, whether nothing is to be recovered, claimed or settled, as most of the
     * time. `dueAt` is when the first delivery that waits is due; `undefined` when none waits.
     */
    async look(leg: string, now: number): Promise<{ isIdle: boolean; dueAt: number | undefined }> {
      const extreme = (which: 'min' | 'max', status: 'pending' | 'unknown') => sql`
        (select ${sql.raw(which)}(next_attempt_at) from deliveries
          where leg = ${leg} and status = ${status} and next_attempt_at is not null)`;
      const { rows } = await sql<Record<string, number | null>>`
        select ${extreme('min', 'pending')} as first_pending, ${extreme('max', 'pending')} as last_pending,
          ${extreme('min', 'unknown')} as first_unknown, ${extreme('max', 'unknown')} as last_unknown,
          (select count(*) from deliveries
            where status = 'sending' and leg = ${leg} and ${leaseIsOver(now)}) as orphans`.execute(
        db,
      );
      const { first_pending, last_pending, first_unknown, last_unknown, orphans } = rows[0] ?? {};
      const dueAt = Math.min(first_pending ?? Infinity, first_unknown ?? Infinity);
      const isLate = Math.max(last_pending ?? 0, last_unknown ?? 0) > now + MAX_WAIT_MS;
      const isIdle = dueAt > now && !isLate && Number(orphans) === 0;
      return { isIdle, dueAt: Number.isFinite(dueAt) ? dueAt : undefined };
    },

    /**
     * When the next delivery that waits to be sent or settled is due, after `now`; `undefined` when none
     * waits.
     */
    async nextDueAt(leg: string, now: number): Promise<number | undefined> {
      const row = await db
        .selectFrom('deliveries')
        .select(({ fn }) => fn.min('next_attempt_at').as('at'))
        .where('leg', '=', leg)
        .where('status', 'in', ['pending', 'unknown'])
        .where('next_attempt_at', '>', now)
        .executeTakeFirst();
      return row?.at ?? undefined;
    },
  };
}

const WORKER_GONE = 'the worker that had it is gone';

function rowOf({ claim, transition }: { claim: Claim; transition: Transition }) {
  const { status, attempts, reads, nextAttemptAt, lastError } = transition;
  const identity = [claim.sequence, claim.fencingToken];
  return [...identity, status, attempts, reads, nextAttemptAt, storable(lastError)];
}

/**
 * No other delivery of the same lane is under way, or was sighted earlier and still waits. There are two
 * places to look: the index `deliveries_lane`, and the delivery whose key is the customer, which is not in
 * it.
 */
const isNextInLane = sql<boolean>`
  not exists (
    select 1 from deliveries as other
    where other.leg = due.leg and other.customer_id = due.customer_id
      and other.customer_id != other.key and ${blocks()})
  and (due.key = due.customer_id or not exists (
    select 1 from deliveries as other
    where other.leg = due.leg and other.key = due.customer_id
      and other.customer_id = due.customer_id and ${blocks()}))`;

function blocks() {
  return sql`other.sequence != due.sequence and (other.status in ('sending', 'unknown')
    or (other.sequence < due.sequence and other.status in ('pending', 'held')))`;
}

function leaseIsOver(now: number) {
  return sql<boolean>`(lease_expires_at <= ${now} or lease_expires_at > ${now + MAX_LEASE_MS})`;
}

export function toClaim(row: DeliveryRow): Claim {
  return {
    sequence: row.sequence,
    leg: row.leg,
    key: row.key,
    customerId: row.customer_id,
    payload: JSON.parse(row.payload),
    attempts: row.attempts,
    reads: row.reads,
    fencingToken: row.fencing_token,
    lastError: row.last_error,
    createdAt: row.created_at,
  };
}
