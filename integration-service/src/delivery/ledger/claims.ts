import { type Kysely, type RawBuilder, sql } from 'kysely';
import { MAX_WAIT_MS } from 'service-kit/retry';
import { chunksOf } from '../chunks.ts';
import type { Claim, Status } from '../delivery.ts';
import type { Eraser } from './eraser.ts';
import { insertEvents, storable } from './history.ts';
import type { CommitEntry, Committed, Ledger } from './ledger.ts';
import { isSqlite, rowsOf, unindexed } from './rows.ts';
import { LATER_STATE, scrubEnded } from './superseding.ts';
import type { DeliveryRow, LedgerTransaction } from './tables.ts';

/** How long a claim holds without being renewed. */
export const LEASE_MS = 20_000;
/** A lease longer than this was written under a wrong clock; the clocks of replicas differ a bit. */
const MAX_LEASE_MS = 2 * LEASE_MS;

/** The clocks of replicas differ a bit: a time of writing that is up to this far in the future is fine. */
const CLOCK_SKEW_MS = 10_000;

/** The part of the ledger that workers use: claim, renew, commit. */
export function createClaims(db: Kysely<unknown>, eraser: Eraser) {
  const skipLocked = isSqlite(db) ? sql`` : sql`for update skip locked`;

  /** Claims the deliveries that are due, the longest due first; returns them in the order of their ingest. */
  async function take(
    flow: string,
    status: Status,
    { limit, now }: { limit: number; now: number },
    { set, where }: { set: RawBuilder<unknown>; where: RawBuilder<unknown> },
  ): Promise<Claim[]> {
    const { rows } = await sql<DeliveryRow>`
      update deliveries set ${set}, fencing_token = fencing_token + 1
      where sequence in (
        select due.sequence from deliveries as due
        where due.flow = ${flow} and due.status = ${status} and due.next_attempt_at <= ${now}
          and ${where}
        order by due.next_attempt_at, due.sequence limit ${limit} ${skipLocked})
      returning *`.execute(db);
    return rows.map(toClaim).sort((a, b) => a.sequence - b.sequence);
  }

  /** Makes deliveries whose worker is gone unknown, because their last attempt is; returns their keys. */
  async function orphan(
    transaction: LedgerTransaction,
    flow: string,
    now: number,
    isOrphaned: 'all' | 'expired',
  ): Promise<string[]> {
    const { rows } = await sql<Pick<DeliveryRow, 'sequence' | 'key' | 'attempts'>>`
      update deliveries set status = 'unknown', reads = 0, next_attempt_at = ${now},
        lease_expires_at = null, fencing_token = fencing_token + 1, last_error = ${WORKER_GONE},
        updated_at = ${now}
      where flow = ${flow} and status = 'sending'
        and ${isOrphaned === 'all' ? sql`true` : leaseIsOver(now)}
      returning sequence, key, attempts`.execute(transaction);
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
        await sql`
          update deliveries set next_attempt_at = ${now}
          where flow = ${flow} and status in ('pending', 'unknown')
            and next_attempt_at > ${now + MAX_WAIT_MS}`.execute(transaction);
        if (isAlone) {
          await sql`
            update deliveries set lease_expires_at = null
            where flow = ${flow} and status = 'unknown' and lease_expires_at is not null`.execute(
            transaction,
          );
        }
        return orphan(transaction, flow, now, isAlone ? 'all' : 'expired');
      });
    },

    async recount(flow, now) {
      await eraser.eraseLeftover();
      await sql`
        update deliveries set updated_at = ${now},
          next_attempt_at = ${now} + ${isSqlite(db) ? sql`max` : sql`greatest`}(0, next_attempt_at - updated_at)
        where flow = ${flow} and status in ('pending', 'unknown')
          and next_attempt_at > ${now} and updated_at > ${now + CLOCK_SKEW_MS}`.execute(db);
    },

    async claim(flow, { limit, now, order, batch }) {
      if (batch && !(await isBatchDue(db, flow, { ...batch, now }))) return [];
      const set = sql`status = 'sending', attempts = attempts + 1, reads = 0, next_attempt_at = null,
        lease_expires_at = ${now + LEASE_MS}, updated_at = ${now}`;
      const where = order === 'lane' ? isNextInLane : sql`true`;
      return take(flow, 'pending', { limit, now }, { set, where });
    },

    claimUnknown(flow, { limit, now }) {
      const set = sql`lease_expires_at = ${now + LEASE_MS}`;
      const where = sql`(due.lease_expires_at is null or ${leaseIsOver(now)})`;
      return take(flow, 'unknown', { limit, now }, { set, where });
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

    async commit(entries, now, together) {
      const written = await db.transaction().execute(async (transaction) => {
        const result = await write(transaction, entries, now, eraser);
        if (together && result.lost.length > 0) throw new Error('a lease of its batch ran out');
        await together?.(transaction);
        return result;
      });
      await eraser.erase();
      return written;
    },

    async peek(flow, now) {
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
      const { rows } = await sql<{ at: number | null }>`
        select min(next_attempt_at) as at from deliveries
        where flow = ${flow} and status in ('pending', 'unknown') and next_attempt_at > ${now}`.execute(
        db,
      );
      return rows[0]?.at ?? undefined;
    },
  } satisfies Partial<Ledger>;
}

const WORKER_GONE = 'the worker that had it is gone';

type WrittenRow = Pick<
  DeliveryRow,
  'sequence' | 'fencing_token' | 'status' | 'lane' | 'operation' | 'superseded_by'
>;

/** Writes the results of claims. What has a successor is superseded instead of pending, dead or held. */
async function write(
  transaction: LedgerTransaction,
  entries: readonly CommitEntry[],
  now: number,
  eraser: Eraser,
): Promise<Committed> {
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
        and ${unindexed(sql`deliveries.status in ('sending', 'unknown')`)}
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
      const superseded = { delivery, what: 'superseded', reason: LATER_STATE };
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
  await scrubEnded(transaction, lanes, eraser);
  const claims = entries.map(({ claim }) => claim);
  return {
    lost: claims.filter((claim) => !rowOfClaim(claim)),
    superseded: claims.filter(isSuperseded),
  };
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
  db: Kysely<unknown>,
  flow: string,
  { size, waitMs, now }: { size: number; waitMs: number; now: number },
): Promise<boolean> {
  const { rows } = await sql<{ next_attempt_at: number }>`
    select next_attempt_at from deliveries
    where flow = ${flow} and status = 'pending' and next_attempt_at <= ${now}
    order by next_attempt_at limit ${size}`.execute(db);
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
