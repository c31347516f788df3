import type { Item } from '../delivery/delivery.ts';
import type { Customer } from './customer.ts';
import { toCrmCustomer } from './mapper.ts';

export const CUSTOMER_SYNC = 'customer-sync';

/** The delivery of one version of a customer. */
export function versionItem(customer: Customer): Item {
  const { id, version, name } = customer;
  return {
    key: keyOf(id, version),
    lane: id,
    operation: version === 1 ? 'create' : 'update',
    label: name,
    payload: JSON.stringify(toCrmCustomer(customer)),
  };
}

/** The delivery that a customer is gone, at a version above all that the CRM may have. */
export function deletionItem(id: string, version: number): Item {
  return {
    key: keyOf(id, version),
    lane: id,
    operation: 'delete',
    payload: JSON.stringify({ id, version }),
    endsLane: true,
  };
}

export function keyOf(id: string, version: number): string {
  return `${id}:${version}`;
}

/** The version in a key. */
export function versionOf(key: string): number {
  return Number(key.slice(key.lastIndexOf(':') + 1));
}
