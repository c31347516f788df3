import { type Kysely, type RawBuilder, sql } from 'kysely';
import { MAX_WAIT_MS } from 'service-kit/retry';
import type { Claim } from '../delivery.ts';
import { lanesToScrub, scrub } from './ended-lanes.ts';
import { chunksOf, insertEvents, storable } from './history.ts';
import type { CommitEntry, Committed, Ledger } from './ledger.ts';
import { emptyLog, isSqlite, rowsOf } from './rows.ts';
import type { DeliveryRow, LedgerTransaction, Tables } from './tables.ts';

/** How long a claim holds without being renewed. */
export const LEASE_MS = 20_000;
/** A lease longer than this was written under a wrong clock; the clocks of replicas differ a bit. */
const MAX_LEASE_MS = 2 * LEASE_MS;

/** The clocks of replicas differ a bit: a time of writing that is up to this far in the future is fine. */
const CLOCK_SKEW_MS = 10_000;

/** The part of the ledger that workers use: claim, renew, commit. */
export function createWork(
  db: Kysely<Tables>,
): Pick<
  Ledger,
  | 'recover'
  | 'recount'
  | 'claim'
  | 'claimUnknown'
  | 'renew'
  | 'commit'
  | 'commitTogether'
  | 'look'
  | 'nextDueAt'
> {
  const skipLocked = !isSqlite(db);

  /** The rows of a query as claims, in the order in which they were ingested. */
  function claimed(rows: DeliveryRow[]): Claim[] {
    return rows.map(toClaim).sort((a, b) => a.sequence - b.sequence);
  }

  /** Makes deliveries whose worker is gone unknown, because their last attempt is; returns their keys. */
  async function orphan(
    transaction: LedgerTransaction,
    flow: string,
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
      .where('flow', '=', flow)
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
    async recover(flow, now, { isAlone = false } = {}) {
      return db.transaction().execute(async (transaction) => {
        await transaction
          .updateTable('deliveries')
          .set({ next_attempt_at: now })
          .where('flow', '=', flow)
          .where('status', 'in', ['pending', 'unknown'])
          .where('next_attempt_at', '>', now + MAX_WAIT_MS)
          .execute();
        if (isAlone) {
          await transaction
            .updateTable('deliveries')
            .set({ lease_expires_at: null })
            .where('flow', '=', flow)
            .where('status', '=', 'unknown')
            .where('lease_expires_at', 'is not', null)
            .execute();
        }
        return orphan(transaction, flow, now, isAlone ? 'all' : 'expired');
      });
    },

    async recount(flow, now) {
      await sql`
        update deliveries set updated_at = ${now},
          next_attempt_at = ${now} + ${isSqlite(db) ? sql`max` : sql`greatest`}(0, next_attempt_at - updated_at)
        where flow = ${flow} and status in ('pending', 'unknown')
          and next_attempt_at > ${now} and updated_at > ${now + CLOCK_SKEW_MS}`.execute(db);
    },

    async claim(flow, { limit, now, order, batch }) {
      const due = db
        .selectFrom('deliveries as due')
        .select('due.sequence')
        .where('due.flow', '=', flow)
        .where('due.status', '=', 'pending')
        .where('due.next_attempt_at', '<=', now)
        .$if(order === 'lane', (query) => query.where(isNextInLane))
        .orderBy('due.next_attempt_at')
        .orderBy('due.sequence')
        .limit(limit);
      if (batch && !(await isBatchDue(db, flow, { ...batch, now }))) return [];
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
        .where('sequence', 'in', skipLocked ? due.forUpdate().skipLocked() : due)
        .returningAll()
        .execute();
      return claimed(rows);
    },

    async claimUnknown(flow, { limit, now }) {
      const due = db
        .selectFrom('deliveries as due')
        .select('due.sequence')
        .where('due.flow', '=', flow)
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

    async renew(claims, now) {
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

    async commit(entries, now) {
      const written = await db
        .transaction()
        .execute((transaction) => write(transaction, entries, now));
      await forgetScrubbed(db, written);
      return written;
    },

    async commitTogether(entries, together, now) {
      const written = await db
        .transaction()
        .execute(async (transaction) => {
          const result = await write(transaction, entries, now);
          if (result.lost.length > 0) throw new LostError();
          await together(transaction);
          return result;
        })
        .catch((error: unknown) => {
          if (error instanceof LostError) return undefined;
          throw error;
        });
      if (written) await forgetScrubbed(db, written);
      return written;
    },

    async look(flow, now) {
      const extreme = (which: 'min' | 'max', status: 'pending' | 'unknown') => sql`
        (select ${sql.raw(which)}(next_attempt_at) from deliveries
          where flow = ${flow} and status = ${status} and next_attempt_at is not null)`;
      const { rows } = await sql<Record<string, number | null>>`
        select ${extreme('min', 'pending')} as first_pending, ${extreme('max', 'pending')} as last_pending,
          ${extreme('min', 'unknown')} as first_unknown, ${extreme('max', 'unknown')} as last_unknown,
          (select count(*) from deliveries
            where status = 'sending' and flow = ${flow} and ${leaseIsOver(now)}) as orphans`.execute(
        db,
      );
      const { first_pending, last_pending, first_unknown, last_unknown, orphans } = rows[0] ?? {};
      const dueAt = Math.min(first_pending ?? Infinity, first_unknown ?? Infinity);
      const isLate = Math.max(last_pending ?? 0, last_unknown ?? 0) > now + MAX_WAIT_MS;
      const isIdle = dueAt > now && !isLate && Number(orphans) === 0;
      return { isIdle, dueAt: Number.isFinite(dueAt) ? dueAt : undefined };
    },

    async nextDueAt(flow, now) {
      const row = await db
        .selectFrom('deliveries')
        .select(({ fn }) => fn.min('next_attempt_at').as('at'))
        .where('flow', '=', flow)
        .where('status', 'in', ['pending', 'unknown'])
        .where('next_attempt_at', '>', now)
        .executeTakeFirst();
      return row?.at ?? undefined;
    },
  };
}

const WORKER_GONE = 'the worker that had it is gone';

/** A claim of a batch was lost: what must be committed together is not committed at all. */
class LostError extends Error {}

interface Written extends Committed {
  hasScrubbed: boolean;
}

type WrittenRow = Pick<
  DeliveryRow,
  'sequence' | 'fencing_token' | 'status' | 'lane' | 'operation' | 'superseded_by'
>;

/** Writes the results of claims. What has a successor is superseded instead of pending, dead or held. */
async function write(
  transaction: LedgerTransaction,
  entries: readonly CommitEntry[],
  now: number,
): Promise<Written> {
  const written = new Map<number, WrittenRow>();
  for (const chunk of chunksOf(entries)) {
    const { rows } = await sql<WrittenRow>`
      update deliveries set status = ${unlessSuperseded(sql`result.status`, sql`'superseded'`)},
        attempts = result.attempts, reads = result.reads,
        next_attempt_at = ${unlessSuperseded(sql`result.next_attempt_at`, sql`null`)},
        last_error = result.last_error, lease_expires_at = null, updated_at = ${now},
        last_outcome = coalesce(result.outcome, last_outcome),
        target_id = coalesce(result.target_id, deliveries.target_id)
      from (select cast(value->>0 as bigint) as number, cast(value->>1 as integer) as token,
          value->>2 as status, cast(value->>3 as integer) as attempts,
          cast(value->>4 as integer) as reads, cast(value->>5 as bigint) as next_attempt_at,
          value->>6 as last_error, value->>7 as outcome, value->>8 as target_id
        from ${rowsOf(transaction, chunk.map(rowOf))}) as result
      where sequence = result.number and fencing_token = result.token
        and deliveries.status in ('sending', 'unknown')
      returning sequence, fencing_token, deliveries.status, lane, operation, superseded_by`.execute(
      transaction,
    );
    for (const row of rows) written.set(row.sequence, row);
  }
  const rowOfClaim = ({ sequence, fencingToken }: Claim) => {
    const row = written.get(sequence);
    return row?.fencing_token === fencingToken ? row : undefined;
  };
  const isSuperseded = (claim: Claim) => rowOfClaim(claim)?.status === 'superseded';
  const kept = entries.filter(({ claim }) => rowOfClaim(claim));
  await insertEvents(
    transaction,
    now,
    kept.flatMap(({ claim, transition: { event, nextAttemptAt } }) => {
      const delivery = claim.sequence;
      const superseded = { delivery, what: 'superseded' };
      const isEnd = isSuperseded(claim);
      return [
        ...(event ? [{ ...event, delivery, nextAttemptAt: isEnd ? null : nextAttemptAt }] : []),
        ...(isEnd ? [superseded] : []),
      ];
    }),
  );
  const lanes = [...written.values()]
    .filter((row) => row.superseded_by !== null || row.operation === 'delete')
    .map(({ lane }) => lane);
  const ended = lanes.length > 0 ? await lanesToScrub(transaction, lanes) : [];
  if (ended.length > 0) await scrub(transaction, ended);
  const claims = entries.map(({ claim }) => claim);
  return {
    lost: claims.filter((claim) => !rowOfClaim(claim)),
    superseded: claims.filter(isSuperseded),
    hasScrubbed: ended.length > 0,
  };
}

/**
 * Until this checkpoint, SQLite's write-ahead log still has what was scrubbed. What is committed stays so if it
 * fails; the next opening does it again.
 */
async function forgetScrubbed(db: Kysely<Tables>, { hasScrubbed }: Written): Promise<void> {
  if (hasScrubbed) await emptyLog(db).catch(() => {});
}

function unlessSuperseded(value: RawBuilder<unknown>, otherwise: RawBuilder<unknown>) {
  return sql`case when superseded_by is not null and result.status in ('pending', 'dead', 'held')
    then ${otherwise} else ${value} end`;
}

function rowOf({ claim, transition, outcome }: CommitEntry) {
  const { status, attempts, reads, nextAttemptAt, lastError, targetId } = transition;
  return [
    ...[claim.sequence, claim.fencingToken, status, attempts, reads, nextAttemptAt],
    ...[storable(lastError), outcome ?? null, storable(targetId ?? null)],
  ];
}

/** Whether enough deliveries are due for a batch, or one has been due for long enough. */
async function isBatchDue(
  db: Kysely<Tables>,
  flow: string,
  { size, waitMs, now }: { size: number; waitMs: number; now: number },
): Promise<boolean> {
  const rows = await db
    .selectFrom('deliveries')
    .select('next_attempt_at')
    .where('flow', '=', flow)
    .where('status', '=', 'pending')
    .where('next_attempt_at', '<=', now)
    .orderBy('next_attempt_at')
    .limit(size)
    .execute();
  const [first] = rows;
  return (
    rows.length >= size || (first !== undefined && Number(first.next_attempt_at) <= now - waitMs)
  );
}

/**
 * No other delivery of the same lane is under way, or was ingested earlier and still waits. There are two
 * places to look: the index `deliveries_lane`, and the delivery whose key is the lane, which is not in it.
 */
const isNextInLane = sql<boolean>`
  not exists (
    select 1 from deliveries as other
    where other.flow = due.flow and other.lane = due.lane
      and other.lane != other.key
      and other.status in ('pending', 'sending', 'unknown', 'held') and ${blocks()})
  and (due.key = due.lane or not exists (
    select 1 from deliveries as other
    where other.flow = due.flow and other.key = due.lane
      and other.lane = due.lane and ${blocks()}))`;

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
    flow: row.flow,
    key: row.key,
    lane: row.lane,
    // Only what is at its end is scrubbed.
    payload: row.payload as string,
    operation: row.operation ?? undefined,
    attempts: row.attempts,
    reads: row.reads,
    fencingToken: row.fencing_token,
    lastError: row.last_error,
    createdAt: row.created_at,
  };
}
