import type { Address, Customer } from './customer.ts';

/** A customer in the words of the CRM. */
export interface CrmCustomer {
  id: string;
  version: number;
  name: string;
  email: string;
  phone: string | null;
  /** In one line. */
  address: string | null;
  created_at: string;
}

/** The customer as the CRM keeps it: the same values, and the address in one line. */
export function toCrmCustomer(customer: Customer): CrmCustomer {
  const { id, version, name, email, phone, address, created_at } = customer;
  return { id, version, name, email, phone, address: toLine(address), created_at };
}

/**
 * An address in one line: `street, postal_code city, state, country`. Parts that are empty are left out, with
 * their comma; `null` if all are.
 */
function toLine(address: Address | null): string | null {
  if (!address) return null;
  const { street, postal_code, city, state, country } = address;
  const place = [postal_code, city].filter(Boolean).join(' ');
  const line = [street, place, state, country].filter(Boolean).join(', ');
  return line || null;
}
