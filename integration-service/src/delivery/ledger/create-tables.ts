import { type Kysely, sql } from 'kysely';
import { isSqlite, numberTypes } from './rows.ts';

type Run = (statement: string) => Promise<unknown>;

/** Creates the tables; carries over what the version before there were several flows has written. */
export async function createTables(db: Kysely<unknown>): Promise<void> {
  const run: Run = (statement) => sql.raw(statement).execute(db);
  // A number that is used again would mix up the histories of two deliveries.
  const { integer: number, serial } = numberTypes(db);
  const isOld = await hasTable(db, 'deliveries');
  if (isOld) await setAside(run);

  await run(`create table deliveries (
    sequence ${serial},
    flow text not null,
    key text not null,
    lane text not null,
    operation text,
    label text,
    payload text,
    status text not null constraint deliveries_status check (status in
      ('pending', 'sending', 'unknown', 'delivered', 'dead', 'held', 'superseded')),
    attempts integer not null default 0,
    reads integer not null default 0,
    next_attempt_at ${number},
    fencing_token integer not null default 0,
    lease_expires_at ${number},
    last_outcome text,
    last_error text,
    target_id text,
    superseded_by ${number},
    traceparent text,
    created_at ${number} not null,
    updated_at ${number} not null,
    unique (flow, key))`);
  await run(`create table events (
    id ${serial},
    delivery ${number} not null references deliveries (sequence),
    at ${number} not null,
    what text not null,
    attempt integer,
    status_code integer,
    reason text,
    next_attempt_at ${number})`);
  await run(`create table flows (flow text primary key, adopted_at ${number})`);
  await run(`create table sources (
    flow text not null,
    source text not null,
    lease_ends_at ${number} not null default 0,
    polled_at ${number},
    position text,
    swept_at ${number},
    primary key (flow, source))`);
  await run(`create table rejected_records (
    flow text not null,
    source text not null,
    fingerprint text not null,
    record text not null,
    reason text not null,
    first_seen_at ${number} not null,
    accepted_at ${number},
    constraint rejected_records_of_source primary key (flow, source, fingerprint))`);
  await run(`create table audits (
    id ${serial},
    flow text not null,
    finished_at ${number} not null,
    counts text not null,
    details text)`);
  await run(`create table if not exists systems (
    name text primary key,
    paused_at ${number} not null,
    paused_until ${number} not null)`);
  await run(`create table ended_lanes (lane text primary key, ended_at ${number} not null)`);
  await run(`create table actions (
    id ${serial},
    at ${number} not null,
    who text not null,
    what text not null,
    filter text not null,
    count ${number} not null)`);

  if (isOld) await carryOver(run, isSqlite(db));
  await run('create index events_of_delivery on events (delivery, id)');
  await run('create index deliveries_by_status on deliveries (status, sequence, flow)');
  await run(`create index deliveries_due on deliveries (flow, status, next_attempt_at)
    where next_attempt_at is not null`);
  // Only open deliveries hold a lane up. Most are alone in their lane, with its name as their key.
  await run(`create index deliveries_lane on deliveries (flow, lane, sequence)
    where lane != key and status in ('pending', 'sending', 'unknown', 'held')`);
  await run('create index deliveries_of_lane on deliveries (lane, sequence) where lane != key');
  await run(
    'create index deliveries_by_target_id on deliveries (target_id) where target_id is not null',
  );
  await run('create index deliveries_by_time on deliveries (created_at)');
}

/** Gives the names of old tables and indexes to the new ones. Pauses, in `systems`, stay where they are. */
async function setAside(run: Run): Promise<void> {
  for (const index of ['by_status', 'due', 'lane']) await run(`drop index deliveries_${index}`);
  await run('drop index events_of_delivery');
  for (const table of ['deliveries', 'events', 'rejected_records', 'audits']) {
    await run(`alter table ${table} rename to former_${table}`);
  }
}

async function carryOver(run: Run, onSqlite: boolean): Promise<void> {
  // What the target calls a delivery is in its history. Reads of a delivery that was released were the number
  // of the last read, and now are a number of their own.
  await run(`insert into deliveries (sequence, flow, key, lane, payload, status, attempts, reads,
      next_attempt_at, fencing_token, lease_expires_at, last_error, target_id, created_at, updated_at)
    ${onSqlite ? '' : 'overriding system value'}
    select sequence, leg, key, customer_id, payload, status, attempts,
      case when status = 'unknown' and reads = 3 then -2 else reads end,
      each.next_attempt_at, fencing_token, lease_expires_at, last_error,
      case when status = 'delivered' then told.reason end, created_at, updated_at
    from former_deliveries as each
      left join (select delivery, max(id) as id from former_events
        where what in ('delivered', 'found', 'adopted') group by delivery) as last
        on last.delivery = each.sequence
      left join former_events as told on told.id = last.id
    order by sequence`);
  if (!onSqlite) {
    await run('analyze deliveries');
    await run(`select setval(pg_get_serial_sequence('deliveries', 'sequence'), max(sequence))
      from deliveries`);
  }
  await run(`insert into events (delivery, at, what, attempt, status_code, reason, next_attempt_at)
    select delivery, at, case what when 'withdrawn' then 'aborted' else what end, attempt, status_code,
      reason, next_attempt_at
    from former_events order by id`);
  await run('insert into flows (flow, adopted_at) select leg, adopted_at from legs');
  await run(`insert into sources (flow, source, lease_ends_at, polled_at, position, swept_at)
    select leg, 'crm', turn_ends_at, polled_at, position, swept_at from legs`);
  await run(`insert into rejected_records
      (flow, source, fingerprint, record, reason, first_seen_at, accepted_at)
    select leg, 'crm', fingerprint, record, reason, first_seen_at, accepted_at
    from former_rejected_records`);
  await run(`insert into audits (flow, finished_at, counts)
    select leg, finished_at, counts from former_audits order by id`);
  for (const former of ['events', 'deliveries', 'rejected_records', 'audits']) {
    await run(`drop table former_${former}`);
  }
  await run('drop table legs');
  await run('drop table webhooks');
}

export async function hasTable(db: Kysely<unknown>, name: string): Promise<boolean> {
  const { rows } = isSqlite(db)
    ? await sql`select 1 from sqlite_master where name = ${name}`.execute(db)
    : await sql`select 1 where to_regclass(${name}) is not null`.execute(db);
  return rows.length > 0;
}
