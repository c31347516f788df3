import { randomUUID } from 'node:crypto';
import { createRecordList, type PreparedList, type ReadableList } from 'service-kit/record-list';
import type { CrmCustomer, CrmCustomerWrite } from './crm-customer.ts';
import type { Customer, CustomerCreate } from './customer.ts';

/** A write that is older than what is held, at this version, or older than the deletion. */
export interface Stale {
  kind: 'stale';
  version: number;
}

export type Written = { kind: 'created' | 'replaced' | 'unchanged'; customer: CrmCustomer } | Stale;

export interface CustomerStore {
  /**
   * Stores a new customer, at version 1, and returns it, with its JSON text as listed; `undefined` if a
   * customer has the e-mail.
   */
  create(input: CustomerCreate): { customer: CrmCustomer; json: string } | undefined;
  /**
   * Stores a customer as another system has it: a new one, or instead of the one with this id. A version
   * guards it. Without one, the customer keeps the version that is held.
   */
  write(input: CrmCustomerWrite): Written;
  /**
   * Removes a customer, and remembers the version, so that nothing older brings the customer back.
   *
   * @param version default: the version that is held
   */
  remove(
    id: string,
    version?: number,
  ): { kind: 'removed'; version: number } | { kind: 'absent' } | Stale;
  get(id: string): CrmCustomer | undefined;
  /** All customers in order of creation, in the fields of `Customer`. */
  readonly customers: ReadableList;
  /** The same in the fields of `CrmCustomer`. */
  readonly crmCustomers: PreparedList;
}

/** What is not in the text of a `Customer`. */
type Extra = Pick<CrmCustomer, 'version' | 'phone' | 'address'>;

const PLAIN: Extra = { version: 1, phone: null, address: null };
const PLAIN_JSON = JSON.stringify(PLAIN);

/**
 * Keeps customers in memory; they are lost when the process ends.
 *
 * @param serialize turns a customer into JSON text; called once for each state of a customer
 */
export function createCustomerStore(serialize: (customer: Customer) => string): CustomerStore {
  const records = createRecordList();
  /** The number of each customer in the list, by id. */
  const numbers = new Map<string, number>();
  /** Of customers who are not plain, by number. */
  const extras = new Map<number, Extra>();
  /** How many customers have an e-mail address. */
  const emails = new Map<string, number>();
  /** The versions at which customers were deleted, by id. */
  const deletions = new Map<string, number>();

  function countEmail(email: string, change: 1 | -1): void {
    const count = (emails.get(email) ?? 0) + change;
    if (count > 0) emails.set(email, count);
    else emails.delete(email);
  }

  function add(customer: Customer, extra: Extra): string {
    const json = serialize(customer);
    const number = records.append(json);
    numbers.set(customer.id, number);
    if (extra !== PLAIN) extras.set(number, extra);
    countEmail(customer.email, 1);
    return json;
  }

  function read(number: number): CrmCustomer {
    return { ...(JSON.parse(records.at(number)) as Customer), ...(extras.get(number) ?? PLAIN) };
  }

  /** The version that a write must not be older than, as far as there is one. */
  function versionOf(id: string): number | undefined {
    const number = numbers.get(id);
    return number === undefined ? deletions.get(id) : (extras.get(number) ?? PLAIN).version;
  }

  return {
    create({ name, email }) {
      if (emails.has(email)) return undefined;
      const customer = { name, email, id: randomUUID(), created_at: new Date().toISOString() };
      return { customer: { ...customer, ...PLAIN }, json: add(customer, PLAIN) };
    },

    write({ id = randomUUID(), name, email, ...rest }) {
      const number = numbers.get(id);
      const held = number === undefined ? undefined : read(number);
      const heldVersion = versionOf(id);
      const { phone = null, address = null } = rest;
      const extra = { version: rest.version ?? heldVersion ?? 1, phone, address };
      const created_at = rest.created_at ?? held?.created_at ?? new Date().toISOString();
      const customer = { name, email, id, created_at, ...extra };
      if (held && isEqual(held, customer)) return { kind: 'unchanged', customer };
      const isByHand = rest.version === undefined && held !== undefined;
      if (heldVersion !== undefined && extra.version <= heldVersion && !isByHand) {
        return { kind: 'stale', version: heldVersion };
      }
      if (held === undefined || number === undefined) {
        add(customer, extra);
        deletions.delete(id);
        return { kind: 'created', customer };
      }
      countEmail(held.email, -1);
      countEmail(email, 1);
      extras.set(number, extra);
      records.change(number, serialize(customer));
      return { kind: 'replaced', customer };
    },

    remove(id, version) {
      const number = numbers.get(id);
      const heldVersion = versionOf(id);
      // Whoever is there at this version is other content than nobody at this version.
      const isStale = (held: number) =>
        version !== undefined && (number === undefined ? version < held : version <= held);
      if (heldVersion !== undefined && isStale(heldVersion)) {
        return { kind: 'stale', version: heldVersion };
      }
      const deletedAt = version ?? heldVersion;
      if (deletedAt !== undefined) deletions.set(id, deletedAt);
      if (number === undefined || deletedAt === undefined) return { kind: 'absent' };
      countEmail(read(number).email, -1);
      records.change(number, undefined);
      numbers.delete(id);
      extras.delete(number);
      return { kind: 'removed', version: deletedAt };
    },

    get(id) {
      const number = numbers.get(id);
      return number === undefined ? undefined : read(number);
    },
    customers: records,
    // The text of a customer is not parsed: a list of a million would take seconds.
    crmCustomers: records.view((json, number) => {
      const own = extras.get(number);
      const extra = own ? JSON.stringify(own) : PLAIN_JSON;
      return `${json.slice(0, -1)},${extra.slice(1)}`;
    }),
  };
}

const FIELDS = ['name', 'email', 'version', 'phone', 'address', 'created_at'] as const;

function isEqual(one: CrmCustomer, other: CrmCustomer): boolean {
  return FIELDS.every((field) => one[field] === other[field]);
}
