import { randomUUID } from 'node:crypto';
import { createRecordList, type RecordList } from 'service-kit/record-list';
import type { Customer, CustomerCreate } from './customer.ts';

export interface CustomerStore {
  /**
   * Stores a new customer and returns it, with its JSON text as listed; `undefined` if the e-mail exists.
   */
  create(input: CustomerCreate): { customer: Customer; json: string } | undefined;
  /** All customers in order of creation. */
  readonly records: Omit<RecordList, 'append'>;
}

/**
 * Keeps customers in memory; they are lost when the process ends.
 *
 * @param serialize turns a customer into JSON text; called once per customer
 */
export function createCustomerStore(serialize: (customer: Customer) => string): CustomerStore {
  const records = createRecordList();
  const emails = new Set<string>();

  return {
    create({ name, email }) {
      if (emails.has(email)) return undefined;
      const customer = { name, email, id: randomUUID(), created_at: new Date().toISOString() };
      emails.add(email);
      const json = serialize(customer);
      records.append(json);
      return { customer, json };
    },
    records,
  };
}
