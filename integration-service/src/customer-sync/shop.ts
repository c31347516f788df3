import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { HttpError } from 'service-kit/errors';
import type { Item } from '../delivery/delivery.ts';
import type { Change } from '../delivery/flow.ts';
import type { Ledger, LedgerTransaction } from '../delivery/ledger/ledger.ts';
import type { Customer, CustomerInput } from './customer.ts';
import {
  deleteCustomer,
  findCustomer,
  insertCustomer,
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
  /** Makes a change, and returns the customer that it makes, once that is committed. */
  async function returning(
    run: (transaction: LedgerTransaction) => Promise<{ customer: Customer; items: Item[] }>,
  ): Promise<Customer> {
    let made: Customer | undefined;
    await change(async (transaction) => {
      const { customer, items } = await run(transaction);
      made = customer;
      return items;
    });
    return made as Customer;
  }

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

  return {
    async create(input) {
      const id = randomUUID();
      return await returning(async (transaction) => {
        if (await isEmailTaken(transaction, input.email, id)) throw emailTaken(input.email);
        const customer = await insertCustomer(transaction, id, input, now());
        return { customer, items: [versionItem(customer)] };
      });
    },

    async replace(id, input, precondition) {
      return await returning(async (transaction) => {
        const held = await lock(transaction, id, precondition);
        if (isDeepStrictEqual({ ...held, ...input }, held)) return { customer: held, items: [] };
        if (input.email !== held.email && (await isEmailTaken(transaction, input.email, id))) {
          throw emailTaken(input.email);
        }
        const next = { ...input, id, version: held.version + 1 };
        const customer = await updateCustomer(transaction, next, now());
        return { customer, items: [versionItem(customer)] };
      });
    },

    async remove(id, precondition) {
      await change(async (transaction) => {
        const { version } = await lock(transaction, id, precondition);
        await deleteCustomer(transaction, id);
        return [deletionItem(id, version + 1)];
      });
    },

    get: async (id) => (await ledger.read((db) => findCustomer(db, id))) ?? notThere(id),

    list: (limit, after) => ledger.read((db) => listCustomers(db, limit, after)),
  };
}

function notThere(id: string): never {
  throw new HttpError(404, `There is no customer '${id}'.`);
}

function emailTaken(email: string): HttpError {
  return new HttpError(409, `Customer with email '${email}' already exists.`);
}
