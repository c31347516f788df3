import { z } from 'zod';
import type { Difference } from '../delivery/audit/kinds.ts';
import type { CrmCustomer } from './mapper.ts';

/** The fields in which the CRM must have what the shop has. */
const FIELDS = [
  'name',
  'email',
  'phone',
  'address',
  'created_at',
  'version',
] as const satisfies (keyof CrmCustomer)[];

const recordSchema = z.record(z.string(), z.unknown());

/**
 * In which fields the CRM shows a customer otherwise than the shop. What is absent is the same as `null`, and two
 * texts for one moment are the same `created_at`. A value of another type differs.
 */
export function differencesOf(expected: unknown, found: unknown): Difference[] {
  const [ours, theirs] = [expected, found].map((each) => recordSchema.safeParse(each).data ?? {});
  return FIELDS.flatMap((field) => {
    const [should, is] = [ours?.[field] ?? null, theirs?.[field] ?? null];
    const isSame = should === is || (field === 'created_at' && isSameTime(should, is));
    return isSame ? [] : [{ field, expected: should, found: is }];
  });
}

/** Texts that are no times are never the same: `NaN` is not. */
function isSameTime(one: unknown, other: unknown): boolean {
  const areTexts = typeof one === 'string' && typeof other === 'string';
  return areTexts && Date.parse(one) === Date.parse(other);
}
