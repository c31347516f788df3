import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Customer } from './customer.ts';
import { toCrmCustomer } from './mapper.ts';

const CUSTOMER: Customer = {
  ...{ id: '26903934-a784-469e-a61d-14023f521250', name: 'Jane', email: 'jane@example.com' },
  ...{ phone: '+44 1', version: 3, address: null },
  ...{ created_at: '2026-01-01T12:00:00.000Z', updated_at: '2026-01-02T12:00:00.000Z' },
};
const PARTS = {
  ...{ street: '221B Baker Street', city: 'London', state: 'Greater London' },
  ...{ postal_code: 'NW1 6XE', country: 'United Kingdom' },
};
const lineOf = (address: Customer['address']) => toCrmCustomer({ ...CUSTOMER, address }).address;

it('keeps all but the time of the change, and writes the address in one line', () => {
  const { updated_at: _, ...kept } = CUSTOMER;
  expect(toCrmCustomer({ ...CUSTOMER, address: PARTS })).toEqual({
    ...{ ...kept, address: '221B Baker Street, NW1 6XE London, Greater London, United Kingdom' },
  });
});

it.each([
  [{ street: null }, 'NW1 6XE London, Greater London, United Kingdom'],
  [{ city: null }, '221B Baker Street, NW1 6XE, Greater London, United Kingdom'],
  [{ postal_code: null }, '221B Baker Street, London, Greater London, United Kingdom'],
  [{ city: null, postal_code: null }, '221B Baker Street, Greater London, United Kingdom'],
  [{ state: null, country: null }, '221B Baker Street, NW1 6XE London'],
])('leaves out a part that is empty, with its comma: %j', (absent, line) => {
  expect(lineOf({ ...PARTS, ...absent })).toBe(line);
});

/** Absent, empty, or a text in which no separator can be mistaken. */
const part = fc.option(fc.stringMatching(/^[^ ,]{0,9}$/u));
const customers = fc.record({
  ...{ id: fc.uuid(), name: fc.string(), email: fc.string(), phone: fc.option(fc.string()) },
  version: fc.integer({ min: 1 }),
  address: fc.option(
    fc.record({ street: part, city: part, state: part, postal_code: part, country: part }),
  ),
  ...{ created_at: fc.string(), updated_at: fc.string() },
});

it('shows each part that there is once, in order, and nothing else', () => {
  fc.assert(
    fc.property(customers, (customer) => {
      const before = structuredClone(customer);
      const { address: line, ...rest } = toCrmCustomer(customer);
      expect(customer).toEqual(before);
      const { address, updated_at: _, ...kept } = customer;
      expect(rest).toEqual(kept);
      const { street, postal_code, city, state, country } = address ?? {};
      const parts = [street, postal_code, city, state, country].filter((each) => each);
      expect(line?.split(/,? /) ?? []).toEqual(parts);
      expect(line).not.toBe('');
      // One space without a comma: that between postal code and city.
      const spaces = line?.match(/(?<!,) /g) ?? [];
      expect(spaces).toHaveLength(postal_code && city ? 1 : 0);
      if (postal_code && city) expect(line).toContain(`${postal_code} ${city}`);
    }),
  );
});
