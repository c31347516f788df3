import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { HttpError } from 'service-kit/errors';
import type { Change, Made, Make } from '../delivery/flow.ts';
import { oneByOne } from '../delivery/ingest/group-change.ts';
import type { Ledger, LedgerTransaction } from '../delivery/ledger/ledger.ts';
import type { Customer, CustomerInput } from './customer.ts';
import {
  deleteCustomer,
  findCustomer,
  insertCustomers,
  isEmailTaken,
  listCustomers,
  lockCustomer,
  type Numbered,
  updateCustomer,
} from './customer-table.ts';
import { deletionItem, versionItem } from './item.ts';

/** Decides by a customer's version whether a change may go on. */
export type Precondition = (version: number) => boolean;

/**
 * The customers of the shop. Each change and its delivery are one transaction.
 *
 * Errors have a status: 404 when there is no such customer, 409 when another customer has the e-mail, 412 when
 * the precondition does not hold. Nothing is changed then.
 */
export interface Shop {
  create(input: CustomerInput): Promise<Customer>;
  /** Replaces a customer. What changes nothing raises no version and is not delivered. */
  replace(id: string, input: CustomerInput, precondition?: Precondition): Promise<Customer>;
  remove(id: string, precondition?: Precondition): Promise<void>;
  get(id: string): Promise<Customer>;
  /** Up to `limit` customers in order of creation, behind the one with the number `after`. */
  list(limit: number, after?: number): Promise<Numbered[]>;
}

export interface ShopOptions {
  change: Change;
  ledger: Pick<Ledger, 'read'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

export function createShop({ change, ledger, now }: ShopOptions): Shop {
  const createAll: Make<CustomerInput & { id: string }, Customer> = async (transaction, inputs) => {
    const made = await insertCustomers(transaction, inputs, now());
    return inputs.map(({ id, email }) => {
      const customer = made.get(id);
      return customer ? deliver(customer) : emailTaken(email);
    });
  };

  const replaceOne = oneByOne<Replacement, Customer>(
    async (transaction, { id, input, precondition }) => {
      const held = await lock(transaction, id, precondition);
      if (isDeepStrictEqual({ ...held, ...input }, held)) return { result: held, items: [] };
      if (input.email !== held.email && (await isEmailTaken(transaction, input.email, id))) {
        throw emailTaken(input.email);
      }
      const next = { ...input, id, version: held.version + 1 };
      return deliver(await updateCustomer(transaction, next, now()));
    },
  );

  return {
    create: (input) => change(createAll, { ...input, id: randomUUID() }),
    replace: (id, input, precondition) => change(replaceOne, { id, input, precondition }),
    remove: (id, precondition) => change(removeOne, { id, precondition }),

    get: async (id) => (await ledger.read((db) => findCustomer(db, id))) ?? notThere(id),

    list: (limit, after) => ledger.read((db) => listCustomers(db, limit, after)),
  };
}

interface Target {
  id: string;
  precondition: Precondition | undefined;
}
interface Replacement extends Target {
  input: CustomerInput;
}

const removeOne = oneByOne<Target, void>(async (transaction, { id, precondition }) => {
  const { version } = await lock(transaction, id, precondition);
  await deleteCustomer(transaction, id);
  return { result: undefined, items: [deletionItem(id, version + 1)] };
});

/** Finds a customer to be changed, whom nobody else changes meanwhile. */
async function lock(
  transaction: LedgerTransaction,
  id: string,
  precondition: Precondition | undefined,
): Promise<Customer> {
  const customer = (await lockCustomer(transaction, id)) ?? notThere(id);
  if (precondition?.(customer.version) !== false) return customer;
  throw new HttpError(412, `The customer has version ${customer.version}.`);
}

function deliver(customer: Customer): Made<Customer> {
  return { result: customer, items: [versionItem(customer)] };
}

function notThere(id: string): never {
  throw new HttpError(404, `There is no customer '${id}'.`);
}

function emailTaken(email: string): HttpError {
  return new HttpError(409, `Customer with email '${email}' already exists.`);
}
