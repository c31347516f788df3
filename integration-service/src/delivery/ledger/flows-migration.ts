/**
 * The migration that gives one ledger to several flows: words (`leg` becomes `flow`, `customer_id` `lane`),
 * the states and columns that flows of changing records need, and a position for each source of a flow.
 */
import { type Kysely, sql } from 'kysely';
import { isSqlite } from './rows.ts';

const STATUSES = `('pending', 'sending', 'unknown', 'delivered', 'dead', 'held', 'superseded')`;

export async function giveLedgerToFlows(db: Kysely<unknown>): Promise<void> {
  const run = (statement: string) => sql.raw(statement).execute(db);
  const number = isSqlite(db) ? 'integer' : 'bigint';
  await (isSqlite(db) ? buildDeliveriesAnew(run) : alterDeliveries(run));

  await fillTargetIds(run);
  // Only open deliveries hold a lane up. Most are alone in their lane, with its name as their key.
  await run(`create index deliveries_lane on deliveries (flow, lane, sequence)
    where lane != key and status in ('pending', 'sending', 'unknown', 'held')`);
  await run('create index deliveries_of_lane on deliveries (lane, sequence) where lane != key');
  await run(
    'create index deliveries_by_target_id on deliveries (target_id) where target_id is not null',
  );
  await run('create index deliveries_by_time on deliveries (created_at)');
  // Reads of a delivery that was released were the number of the last read, and now are a number of their own.
  await run(`update deliveries set reads = -2 where status = 'unknown' and reads = 3`);
  await run(`update events set what = 'aborted' where what = 'withdrawn'`);

  await run(`create table flows (flow text primary key, adopted_at ${number})`);
  await run('insert into flows (flow, adopted_at) select leg, adopted_at from legs');
  await run(`create table sources (
    flow text not null,
    source text not null,
    lease_ends_at ${number} not null default 0,
    polled_at ${number},
    position text,
    swept_at ${number},
    primary key (flow, source))`);
  await run(`insert into sources (flow, source, lease_ends_at, polled_at, position, swept_at)
    select leg, 'crm', turn_ends_at, polled_at, position, swept_at from legs`);
  await run('drop table legs');

  await run('alter table rejected_records rename to former_records');
  await run(`create table rejected_records (
    flow text not null,
    source text not null,
    fingerprint text not null,
    record text not null,
    reason text not null,
    first_seen_at ${number} not null,
    accepted_at ${number},
    constraint rejected_records_of_source primary key (flow, source, fingerprint))`);
  await run(`insert into rejected_records
      (flow, source, fingerprint, record, reason, first_seen_at, accepted_at)
    select leg, 'crm', fingerprint, record, reason, first_seen_at, accepted_at
    from former_records`);
  await run('drop table former_records');
  await run('alter table audits rename column leg to flow');
  await run('alter table audits add column details text');

  await run('drop table webhooks');
  await run(`create table ended_lanes (lane text primary key, ended_at ${number} not null)`);
  const serial = isSqlite(db)
    ? 'integer primary key autoincrement'
    : 'bigint generated always as identity primary key';
  await run(`create table actions (
    id ${serial},
    at ${number} not null,
    who text not null,
    what text not null,
    filter text not null,
    count ${number} not null)`);
}

type Run = (statement: string) => Promise<unknown>;

/**
 * SQLite cannot drop the check of the status, which has no name: the table is built anew, and with it the
 * histories, which refer to it. Renaming the new tables moves the reference along.
 */
async function buildDeliveriesAnew(run: Run): Promise<void> {
  await run(`create table deliveries_next (
    sequence integer primary key autoincrement,
    flow text not null,
    key text not null,
    lane text not null,
    operation text,
    label text,
    payload text,
    status text not null constraint deliveries_status check (status in ${STATUSES}),
    attempts integer not null default 0,
    reads integer not null default 0,
    next_attempt_at integer,
    fencing_token integer not null default 0,
    lease_expires_at integer,
    last_outcome text,
    last_error text,
    target_id text,
    superseded_by integer,
    traceparent text,
    created_at integer not null,
    updated_at integer not null,
    unique (flow, key))`);
  await run(`insert into deliveries_next (sequence, flow, key, lane, payload, status, attempts, reads,
      next_attempt_at, fencing_token, lease_expires_at, last_error, created_at, updated_at)
    select sequence, leg, key, customer_id, payload, status, attempts, reads,
      next_attempt_at, fencing_token, lease_expires_at, last_error, created_at, updated_at
    from deliveries order by sequence`);
  await run(`create table events_next (
    id integer primary key autoincrement,
    delivery integer not null references deliveries_next (sequence),
    at integer not null,
    what text not null,
    attempt integer,
    status_code integer,
    reason text,
    next_attempt_at integer)`);
  await run(`insert into events_next (id, delivery, at, what, attempt, status_code, reason, next_attempt_at)
    select id, delivery, at, what, attempt, status_code, reason, next_attempt_at
    from events order by id`);
  await run('drop table events');
  await run('drop table deliveries');
  await run('alter table deliveries_next rename to deliveries');
  await run('alter table events_next rename to events');
  await run('create index events_of_delivery on events (delivery, id)');
  await run('create index deliveries_by_status on deliveries (status, sequence, flow)');
  await run(`create index deliveries_due on deliveries (flow, status, next_attempt_at)
    where next_attempt_at is not null`);
}

/** In PostgreSQL, this changes the description of the table, and no row. */
async function alterDeliveries(run: Run): Promise<void> {
  await run('alter table deliveries rename column leg to flow');
  await run('alter table deliveries rename column customer_id to lane');
  await run('alter table deliveries alter column payload drop not null');
  for (const column of ['operation', 'label', 'last_outcome', 'target_id', 'traceparent']) {
    await run(`alter table deliveries add column ${column} text`);
  }
  await run('alter table deliveries add column superseded_by bigint');
  await run('alter table deliveries drop constraint deliveries_status_check');
  await run(`alter table deliveries add constraint deliveries_status
    check (status in ${STATUSES}) not valid`);
  await run('drop index deliveries_lane');
}

/** Finds what the target calls each delivery in its history. */
async function fillTargetIds(run: Run): Promise<void> {
  await run(`update deliveries set target_id = (
      select reason from events where events.delivery = deliveries.sequence
        and what in ('delivered', 'found', 'adopted') order by id desc limit 1)
    where status = 'delivered'`);
}
