/** Rows of the files, made of changed records; a package request is joined with its customer and product. */
import { type Kysely, sql } from 'kysely';
import type { Item } from '../delivery/delivery.ts';
import { isSqlite, numberTypes, rowsOf, textsOf, unindexed } from '../delivery/ledger/rows.ts';
import type { LedgerTransaction } from '../delivery/ledger/tables.ts';
import type { Cells } from './columns.ts';
import type { Kind } from './record.ts';
import type { ChangedRecord } from './record-table.ts';

export const ANALYTICS = 'analytics';

/** How long a package request waits for its customer to be taken in. */
export const JOINED_WITHIN_MS = 5 * 60_000;

/** A package request whose customer is not known yet: everything but the customer's cells. */
interface Waiting {
  key: string;
  lane: string;
  /** The cells as JSON. */
  cells: string;
}

export async function createJoinTables(db: Kysely<unknown>): Promise<void> {
  const { integer } = numberTypes(db);
  await sql
    .raw(`create table analytics_waiting (
      key text primary key,
      lane text not null,
      cells text not null,
      due_at ${integer} not null)`)
    .execute(db);
  await sql`create index analytics_waiting_of_lane on analytics_waiting (lane)`.execute(db);
  await sql`create index analytics_waiting_due on analytics_waiting (due_at)`.execute(db);
  await sql`create table analytics_products (sku text primary key, cells text not null)`.execute(
    db,
  );
}

/** An arbitrary number that nothing else locks in the same database. */
const JOIN_LOCK = 2_026_120_101;

/**
 * The items of changed records: each state of a customer or product, and each package request once, with its
 * customer and product as they are now. A request whose customer is not known waits until the customer comes,
 * or `JOINED_WITHIN_MS`.
 */
export async function joinRecords(
  transaction: LedgerTransaction,
  records: readonly ChangedRecord[],
  now: number,
): Promise<Item[]> {
  // A customer and a request of it that come at the same time would each miss the other.
  if (!isSqlite(transaction)) {
    await sql`select pg_advisory_xact_lock(${JOIN_LOCK})`.execute(transaction);
  }
  const of = (kind: Kind) => records.filter((record) => record.kind === kind);
  const customers = of('customer');
  const items = [...customers, ...of('product')].map((record) => itemOf(record));
  await noteProducts(transaction, of('product'));
  const requests = of('package-request').filter(({ revision }) => revision === 1);
  await wait(transaction, requests, now + JOINED_WITHIN_MS);
  const joined = await takeKnown(transaction, [...customers, ...requests], items);
  return [...items, ...joined, ...(await takeDue(transaction, now))];
}

/** Tells each state of each record apart, also when the ledger was lost. */
export function keyOf(state: Pick<ChangedRecord, 'kind' | 'id' | 'revision' | 'hash'>): string {
  const { kind, id, revision, hash } = state;
  return `${kind}/${id}/${revision}/${hash}`;
}

function itemOf(record: ChangedRecord): Item {
  const { lane, cells, revision, hash, seenAt } = record;
  const row = { ...cells, revision, seen_at: new Date(seenAt).toISOString(), hash };
  return { key: keyOf(record), lane, payload: JSON.stringify(row) };
}

async function noteProducts(
  transaction: LedgerTransaction,
  products: readonly ChangedRecord[],
): Promise<void> {
  const bySku = new Map(products.map(({ cells }) => [String(cells.sku ?? ''), cells]));
  bySku.delete('');
  if (bySku.size === 0) return;
  const values = Array.from(bySku, ([sku, { name, price, currency }]) => [
    ...[
      sku,
      JSON.stringify({ product_name: name, product_price: price, product_currency: currency }),
    ],
  ]);
  await sql`
    insert into analytics_products (sku, cells)
    select value->>0, value->>1 from ${rowsOf(transaction, values)} where true
    on conflict (sku) do update set cells = excluded.cells`.execute(transaction);
}

/** Lets package requests wait, with the product as it is now. */
async function wait(
  transaction: LedgerTransaction,
  requests: readonly ChangedRecord[],
  dueAt: number,
): Promise<void> {
  if (requests.length === 0) return;
  const skus = new Set(requests.map(({ cells }) => String(cells.product_sku ?? '')));
  const { rows } = await sql<{ sku: string; cells: string }>`
    select sku, cells from analytics_products
    where sku in ${textsOf(transaction, skus)}`.execute(transaction);
  const products = new Map(rows.map(({ sku, cells }) => [sku, JSON.parse(cells) as Cells]));
  const values = requests.map((record) => {
    const { payload } = itemOf(record);
    const product = products.get(String(record.cells.product_sku ?? ''));
    return [keyOf(record), record.lane, JSON.stringify({ ...product, ...JSON.parse(payload) })];
  });
  await sql`
    insert into analytics_waiting (key, lane, cells, due_at)
    select value->>0, value->>1, value->>2, cast(${dueAt} as bigint)
    from ${rowsOf(transaction, values)} where true
    on conflict (key) do nothing`.execute(transaction);
}

/** Takes the requests that wait for the customers of these records, where the customer is known. */
async function takeKnown(
  transaction: LedgerTransaction,
  records: readonly ChangedRecord[],
  fresh: readonly Item[],
): Promise<Item[]> {
  const lanes = new Set(records.map(({ lane }) => lane));
  if (lanes.size === 0) return [];
  const { rows: waiting } = await sql<Waiting>`
    select key, lane, cells from analytics_waiting
    where lane in ${textsOf(transaction, lanes)} order by key`.execute(transaction);
  if (waiting.length === 0) return [];
  const customers = await customersOf(transaction, new Set(waiting.map(({ lane }) => lane)));
  // Those of this very transaction are not in the ledger yet.
  for (const { key, lane, payload } of fresh) {
    if (key.startsWith('customer/')) customers.set(lane, JSON.parse(payload));
  }
  const known = waiting.filter(({ lane }) => customers.has(lane));
  await remove(transaction, known);
  return known.map((each) => joinedItem(each, customers.get(each.lane)));
}

/** The latest state of customers, from their deliveries; nothing is left of those who are gone. */
async function customersOf(
  transaction: LedgerTransaction,
  lanes: ReadonlySet<string>,
): Promise<Map<string, Cells>> {
  const { rows } = await sql<{ lane: string; payload: string }>`
    select lane, payload from deliveries
    where lane in ${textsOf(transaction, lanes)} and lane != key
      and ${unindexed(sql`flow = ${ANALYTICS} and key like 'customer/%' and payload is not null`)}
    order by sequence`.execute(transaction);
  return new Map(rows.map(({ lane, payload }) => [lane, JSON.parse(payload) as Cells]));
}

/** Takes the requests whose customer has not come in time. */
async function takeDue(transaction: LedgerTransaction, now: number): Promise<Item[]> {
  const { rows } = await sql<Waiting>`
    select key, lane, cells from analytics_waiting where due_at <= ${now}
    order by due_at, key limit 1000`.execute(transaction);
  await remove(transaction, rows);
  return rows.map((each) => joinedItem(each, undefined));
}

async function remove(transaction: LedgerTransaction, rows: readonly Waiting[]): Promise<void> {
  if (rows.length === 0) return;
  const keys = rows.map(({ key }) => key);
  await sql`delete from analytics_waiting where key in ${textsOf(transaction, keys)}`.execute(
    transaction,
  );
}

function joinedItem({ key, lane, cells }: Waiting, customer: Cells | undefined): Item {
  const request = JSON.parse(cells) as Cells;
  const joined = {
    ...request,
    customer_name: customer?.name ?? null,
    customer_email: customer?.email ?? null,
    seconds_to_package: secondsBetween(customer?.created_at, request.requested_at),
  };
  return { key, lane, payload: JSON.stringify(joined) };
}

/** `null` when one of the times is not known, or the second is before the first. */
function secondsBetween(from: Cells[string] | undefined, to: Cells[string] | undefined) {
  const seconds = (Date.parse(String(to)) - Date.parse(String(from))) / 1_000;
  return seconds >= 0 ? seconds : null;
}
