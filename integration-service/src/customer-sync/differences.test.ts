import { expect, it } from 'vitest';
import { differencesOf } from './differences.ts';

const CUSTOMER = {
  ...{ id: 'an-id', version: 2, name: 'Jane Doe', email: 'jane@example.com' },
  ...{ phone: null, address: null, created_at: '2026-01-01T12:00:00.000Z' },
};
const fieldsOf = (found: unknown) => differencesOf(CUSTOMER, found).map(({ field }) => field);

it('takes what is absent for null, and another text for the same moment as the same', () => {
  const { phone: _, address: __, ...rest } = CUSTOMER;
  expect(fieldsOf({ ...rest, created_at: '2026-01-01T13:00:00+01:00', segment: 'gold' })).toEqual(
    [],
  );
});

it.each([
  ['name', 'Jane doe'],
  ['email', undefined],
  ['phone', ''],
  ['address', { city: 'London' }],
  ['created_at', '2026-01-01T12:00:00.001Z'],
  ['created_at', 'soon'],
  ['created_at', 1_767_268_800_000],
  ['version', '2'],
])('tells another %s: %j', (field, found) => {
  const expected = CUSTOMER[field as keyof typeof CUSTOMER];
  expect(differencesOf(CUSTOMER, { ...CUSTOMER, [field]: found })).toEqual([
    { field, expected, found: found ?? null },
  ]);
});

it('tells every field of what is no record', () => {
  expect(fieldsOf('Jane Doe')).toEqual(['name', 'email', 'created_at', 'version']);
});
