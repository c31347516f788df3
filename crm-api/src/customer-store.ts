import { randomUUID } from 'node:crypto';
import type { Customer, CustomerCreate } from './customer.ts';

export interface CustomerStore {
  /** Stores a new customer; `undefined` if one has this e-mail already. */
  create(input: CustomerCreate): Customer | undefined;
  /** All customers in order of creation. The array is the store's own: do not change it. */
  list(): Customer[];
}

/** Customers in memory, gone with the process. */
export function createCustomerStore(): CustomerStore {
  const customers: Customer[] = [];
  const emails = new Set<string>();

  return {
    create({ name, email }) {
      if (emails.has(email)) return undefined;
      const customer = { name, email, id: randomUUID(), created_at: new Date().toISOString() };
      emails.add(email);
      customers.push(customer);
      return customer;
    },
    list: () => customers,
  };
}
