import { wholeNumberFrom } from '../random.ts';

/** A customer as the shop's API takes it. */
export interface ShopInput {
  name: string;
  email: string;
  phone?: string;
  address?: Partial<ShopAddress>;
}

interface ShopAddress {
  street: string;
  city: string;
  state: string;
  postal_code: string;
  country: string;
}

/** A customer as the shop's API shows it. */
export interface ShopCustomer {
  id: string;
  version: number;
  name: string;
  email: string;
  phone: string | null;
  address: Record<keyof ShopAddress, string | null> | null;
  created_at: string;
}

/** A customer as the CRM must have it. */
export interface CrmCustomer extends Omit<ShopCustomer, 'address'> {
  /** In one line. */
  address: string | null;
}

/** Addresses, and the line that each must be at the CRM: written down here, not computed as the service does. */
const ADDRESSES: readonly [address: Partial<ShopAddress> | undefined, line: string | null][] = [
  [undefined, null],
  [
    { street: '1 Main St', city: 'Springfield', state: 'IL', postal_code: '62701', country: 'USA' },
    '1 Main St, 62701 Springfield, IL, USA',
  ],
  [{ street: 'Gasse 7', city: 'Wien', postal_code: '1010' }, 'Gasse 7, 1010 Wien'],
  [{ city: 'Oslo', country: 'Norge' }, 'Oslo, Norge'],
  [{ postal_code: '99950' }, '99950'],
];
const PHONES = [undefined, '+44 20 7946 0000', '555-0100'];

const PARTS = ['street', 'city', 'state', 'postal_code', 'country'] as const;
const keyOfAddress = (address: Partial<ShopCustomer['address']>) =>
  JSON.stringify(PARTS.map((part) => address?.[part] ?? null));
const LINES = new Map(
  ADDRESSES.map(([address, line]) => [keyOfAddress((address ?? null) as never), line]),
);

/** Some customer with this e-mail address. */
export function randomInput(random: () => number, email: string): ShopInput {
  const phone = PHONES[wholeNumberFrom(random, 0, PHONES.length - 1)];
  const [address] = ADDRESSES[wholeNumberFrom(random, 0, ADDRESSES.length - 1)] ?? [];
  const name = `Customer ${wholeNumberFrom(random, 1, 1_000_000)}`;
  return { name, email, ...(phone && { phone }), ...(address && { address }) };
}

/** What the shop shows, to be written again with one difference or none. */
export function inputOf({ name, email, phone, address }: ShopCustomer): ShopInput {
  const parts = Object.entries(address ?? {}).filter(([, part]) => part !== null);
  return {
    ...{ name, email },
    ...(phone !== null && { phone }),
    ...(address && { address: Object.fromEntries(parts) }),
  };
}

/** What the CRM must have of it. */
export function toCrm({ id, version, name, email, phone, address, created_at }: ShopCustomer) {
  const line = LINES.get(keyOfAddress(address as never));
  return { id, version, name, email, phone, address: line, created_at };
}

/** The fields in which what the CRM has is not what it must have, with both values. */
export function differences(wanted: ShopCustomer, held: CrmCustomer): string[] {
  return Object.entries(toCrm(wanted)).flatMap(([field, value]) => {
    const other = held[field as keyof CrmCustomer];
    return other === value
      ? []
      : [`${field} is ${JSON.stringify(other)}, not ${JSON.stringify(value)}`];
  });
}
