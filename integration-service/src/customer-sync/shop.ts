import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { HttpError } from 'service-kit/errors';
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
import { deletionItem, versionItem, versionOf } from './item.ts';
import { isAnyOpen, isChangedSince, isNewShop, lockDeletion } from './shop-deliveries.ts';

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
  /** It never had a customer. */
  isNew(): Promise<boolean>;
  /** A customer was changed then or later, Unix time in milliseconds. */
  isChangedSince(time: number): Promise<boolean>;
  /** Those of these ids whose customers were deleted here. */
  deletedOf(ids: readonly string[]): Promise<string[]>;
  /** Whether the outcome of some of these deliveries is open, or has come just now. */
  isAnyOpen(keys: readonly string[]): Promise<boolean>;
  /**
   * Deletes a deleted customer from the CRM once more, unless a delete is on its way or dead.
   *
   * @param version which the CRM has
   * @param deliveredBefore when the CRM was asked: a later delete was on its way
   */
  removeAgain(
    id: string,
    version: number,
    deliveredBefore: number,
  ): Promise<'removed' | 'on its way' | 'dead'>;
}

export interface ShopOptions {
  change: Change;
  ledger: Pick<Ledger, 'within' | 'endedLanes'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

export function createShop({ change, ledger, now }: ShopOptions): Shop {
  /** Finds a customer to be changed, whom nobody else changes meanwhile. */
  async function take(
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
      const { promise, resolve } = Promise.withResolvers<Customer>();
      await change(async (transaction) => {
        if (await isEmailTaken(transaction, input.email, id)) throw emailTaken(input.email);
        const customer = await insertCustomer(transaction, id, input, now());
        resolve(customer);
        return [versionItem(customer)];
      });
      return promise;
    },

    async replace(id, input, precondition) {
      const { promise, resolve } = Promise.withResolvers<Customer>();
      await change(async (transaction) => {
        const held = await take(transaction, id, precondition);
        if (isDeepStrictEqual({ ...held, ...input }, held)) {
          resolve(held);
          return [];
        }
        if (input.email !== held.email && (await isEmailTaken(transaction, input.email, id))) {
          throw emailTaken(input.email);
        }
        const next = { ...input, id, version: held.version + 1 };
        const customer = await updateCustomer(transaction, next, now());
        resolve(customer);
        return [versionItem(customer)];
      });
      return promise;
    },

    async remove(id, precondition) {
      await change(async (transaction) => {
        const { version } = await take(transaction, id, precondition);
        await deleteCustomer(transaction, id);
        return [deletionItem(id, version + 1)];
      });
    },

    get: async (id) => (await ledger.within((db) => findCustomer(db, id))) ?? notThere(id),

    list: (limit, after) => ledger.within((db) => listCustomers(db, limit, after)),

    isNew: () => ledger.within(isNewShop),

    isChangedSince: (time) => ledger.within((db) => isChangedSince(db, time)),

    deletedOf: ledger.endedLanes,

    isAnyOpen: (keys) => ledger.within((db) => isAnyOpen(db, keys)),

    async removeAgain(id, version, deliveredBefore) {
      const { promise, resolve } = Promise.withResolvers<'removed' | 'on its way' | 'dead'>();
      await change(async (transaction) => {
        const last = await lockDeletion(transaction, id);
        const isDead = last?.status === 'dead' || last?.status === 'held';
        const isOver = last?.status === 'delivered' && last.updatedAt < deliveredBefore;
        resolve(isDead ? 'dead' : isOver || !last ? 'removed' : 'on its way');
        if (last && !isOver) return [];
        return [deletionItem(id, Math.max(version, last ? versionOf(last.key) : 0) + 1)];
      });
      return promise;
    },
  };
}

function notThere(id: string): never {
  throw new HttpError(404, `There is no customer '${id}'.`);
}

function emailTaken(email: string): HttpError {
  return new HttpError(409, `Customer with email '${email}' already exists.`);
}
