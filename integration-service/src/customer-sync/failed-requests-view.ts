import { type Kysely, sql } from 'kysely';
import { ATTEMPT_EVENTS } from '../delivery/attempts.ts';
import type { Status } from '../delivery/delivery.ts';
import { isSqlite } from '../delivery/ledger/rows.ts';
import { CUSTOMER_SYNC } from './item.ts';

/** A row of the view `failed_requests`. Times are ISO 8601, UTC. */
export interface FailedRequest {
  /** In the order in which the changes were made. */
  sequence: number;
  customer_id: string;
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  status: Status;
  attempts: number;
  last_error: string | null;
  /** When it is sent again; `null` if that is up to a person. */
  next_attempt_at: string | null;
  /** When the change was made. */
  since: string;
}

/**
 * Creates the view `failed_requests`: each change that has not reached the CRM after an attempt that failed,
 * and those that wait while attempts fail. The parts are one for each status, so that an index finds them.
 */
export async function createFailedRequestsView(db: Kysely<unknown>): Promise<void> {
  const quoted = (texts: readonly string[]) => texts.map((text) => `'${text}'`).join(', ');
  const iso = (column: string) =>
    isSqlite(db)
      ? `strftime('%Y-%m-%dT%H:%M:%fZ', ${column} / 1000.0, 'unixepoch')`
      : `to_char(to_timestamp(${column} / 1000.0) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
  // Not by the index on the flow, which does not know the status.
  const ofStatus = (status: Status, alias: string) =>
    `${alias}.status = '${status}' and coalesce(${alias}.flow, '') = '${CUSTOMER_SYNC}'`;
  const hasFailed = (alias: string) => `${alias}.last_error is not null`;
  const underWay: Status[] = ['pending', 'sending', 'unknown'];
  const anyHasFailed = underWay.map(
    (status) => `exists (select 1 from deliveries as failed
      where ${ofStatus(status, 'failed')} and ${hasFailed('failed')})`,
  );
  // A later change may have replaced all that failed, and not have been tried yet.
  const ofSameCustomer = (alias: string) => `${alias}.lane = waiting.lane
    and ${alias}.lane != ${alias}.key and ${alias}.flow = '${CUSTOMER_SYNC}'`;
  const anyReplacesFailed = `exists (select 1 from deliveries as waiting
    cross join deliveries as failed
    where ${ofStatus('pending', 'waiting')} and ${ofSameCustomer('failed')}
      and failed.status = 'superseded' and ${hasFailed('failed')}
      and not exists (select 1 from deliveries as delivered
        where ${ofSameCustomer('delivered')} and delivered.status = 'delivered'
          and delivered.sequence > failed.sequence))`;
  const anyFails = [...anyHasFailed, anyReplacesFailed].join(' or ');
  const isFailed: [Status, string][] = [
    ['pending', `and (${hasFailed('each')} or ${anyFails})`],
    ['sending', `and ${hasFailed('each')}`],
    ['unknown', ''],
    ['held', ''],
    ['dead', ''],
  ];
  const parts = isFailed.map(
    ([status, condition]) => `
      select each.sequence, each.lane as customer_id, upper(each.operation) as operation, each.status,
        (select count(*) from events where events.delivery = each.sequence
          and events.what in (${quoted(ATTEMPT_EVENTS)})) as attempts,
        each.last_error, ${iso('each.next_attempt_at')} as next_attempt_at,
        ${iso('each.created_at')} as since
      from deliveries as each where ${ofStatus(status, 'each')} ${condition}`,
  );
  await sql.raw(`create view failed_requests as ${parts.join(' union all ')}`).execute(db);
}
