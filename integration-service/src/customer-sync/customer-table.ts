import { type Kysely, sql } from 'kysely';
import { isSqlite, numberTypes, rowsOf } from '../delivery/ledger/rows.ts';
import type { LedgerTransaction } from '../delivery/ledger/tables.ts';
import type { Customer, CustomerInput } from './customer.ts';

interface Row {
  number: number;
  id: string;
  version: number;
  name: string;
  email: string;
  phone: string | null;
  /** JSON. */
  address: string | null;
  /** Unix time in milliseconds, as is the next. */
  created_at: number;
  updated_at: number;
}

/** A customer, and its place in the list of all. */
export interface Numbered {
  number: number;
  customer: Customer;
}

export async function createCustomerTable(db: Kysely<unknown>): Promise<void> {
  // A number is a place in the list.
  const { integer, serial } = numberTypes(db);
  await sql
    .raw(`create table customers (
      number ${serial},
      id text not null unique,
      version ${integer} not null,
      name text not null,
      email text not null unique,
      phone text,
      address text,
      created_at ${integer} not null,
      updated_at ${integer} not null)`)
    .execute(db);
}

/** The customer with this id, whom nobody else changes before the transaction ends. */
export async function lockCustomer(
  transaction: LedgerTransaction,
  id: string,
): Promise<Customer | undefined> {
  const forUpdate = sql.raw(isSqlite(transaction) ? '' : 'for update');
  const { rows } = await sql<Row>`select * from customers where id = ${id} ${forUpdate}`.execute(
    transaction,
  );
  return rows[0] && toCustomer(rows[0]);
}

export async function findCustomer(db: Kysely<unknown>, id: string): Promise<Customer | undefined> {
  const { rows } = await sql<Row>`select * from customers where id = ${id}`.execute(db);
  return rows[0] && toCustomer(rows[0]);
}

/** Up to `limit` customers behind a place in the list of all, in order of creation. */
export async function listCustomers(
  db: Kysely<unknown>,
  limit: number,
  after = 0,
): Promise<Numbered[]> {
  const { rows } = await sql<Row>`
    select * from customers where number > ${after} order by number limit ${limit}`.execute(db);
  return rows.map((row) => ({ number: row.number, customer: toCustomer(row) }));
}

/** An arbitrary number that nothing else locks in the same database. */
const EMAIL_LOCK = 2_026_113_001;

/** On PostgreSQL, nobody else takes or frees an e-mail address before the transaction ends; SQLite has one writer. */
async function lockEmail(transaction: LedgerTransaction, email: string): Promise<void> {
  if (isSqlite(transaction)) return;
  await sql`select pg_advisory_xact_lock(${EMAIL_LOCK}, hashtext(${email}))`.execute(transaction);
}

/** Whether a customer other than this one has an e-mail address, which nobody else takes meanwhile. */
export async function isEmailTaken(
  transaction: LedgerTransaction,
  email: string,
  id: string,
): Promise<boolean> {
  await lockEmail(transaction, email);
  const { rows } = await sql`
    select 1 from customers where email = ${email} and id != ${id}`.execute(transaction);
  return rows.length > 0;
}

/**
 * Inserts new customers, in this order. Returns them by id, without those whose e-mail address another customer
 * has, also one of them.
 */
export async function insertCustomers(
  transaction: LedgerTransaction,
  inputs: readonly (CustomerInput & { id: string })[],
  now: number,
): Promise<Map<string, Customer>> {
  const emails = inputs.map(({ email }) => email);
  // In one order, so that no two transactions wait for each other.
  for (const email of emails.toSorted()) await lockEmail(transaction, email);
  const values = inputs.map(({ id, name, email, phone, address }) => [
    ...[id, name, email, phone, address && JSON.stringify(address)],
  ]);
  const { rows } = await sql<Row>`
    insert into customers (id, name, email, phone, address, version, created_at, updated_at)
    select value->>0, value->>1, value->>2, value->>3, value->>4, 1,
      cast(${now} as bigint), cast(${now} as bigint)
    from ${rowsOf(transaction, values)} where true
    on conflict (email) do nothing returning *`.execute(transaction);
  return new Map(rows.map((row) => [row.id, toCustomer(row)]));
}

/** Writes a locked customer at a later version. */
export async function updateCustomer(
  transaction: LedgerTransaction,
  { id, name, email, phone, address, version }: CustomerInput & { id: string; version: number },
  now: number,
): Promise<Customer> {
  const { rows } = await sql<Row>`
    update customers set version = ${version}, name = ${name}, email = ${email}, phone = ${phone},
      address = ${address && JSON.stringify(address)}, updated_at = ${now}
    where id = ${id} returning *`.execute(transaction);
  return toCustomer(rows[0] as Row);
}

export async function deleteCustomer(transaction: LedgerTransaction, id: string): Promise<void> {
  await sql`delete from customers where id = ${id}`.execute(transaction);
}

function toCustomer({ number: _, address, created_at, updated_at, ...rest }: Row): Customer {
  return {
    ...rest,
    address: address === null ? null : JSON.parse(address),
    created_at: new Date(created_at).toISOString(),
    updated_at: new Date(updated_at).toISOString(),
  };
}
