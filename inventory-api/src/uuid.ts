import { refuse, UNPAIRED_SURROGATE } from 'service-kit/validation';
import { z } from 'zod';

const HYPHENATED = '([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})';
const FORMS = [
  new RegExp(`^${HYPHENATED}$`, 'i'),
  new RegExp(`^\\{${HYPHENATED}\\}$`, 'i'),
  // The prefix in lower case only, as the original takes it.
  new RegExp(`^urn:uuid:${HYPHENATED.replaceAll('a-f', 'a-fA-F')}$`),
  new RegExp(`^${HYPHENATED.replaceAll('-(', '(')}$`, 'i'),
];

/**
 * A UUID of any version in any form that Rust's `uuid` crate, and so Pydantic, reads: hyphenated,
 * without hyphens, in braces, or with `urn:uuid:` before it, in upper or lower case. The result is
 * hyphenated and in lower case.
 */
export const uuidSchema = z.unknown().transform((value, context): string => {
  if (typeof value !== 'string') {
    return refuse(context, 'uuid_type', 'UUID input should be a string, bytes or UUID object');
  }
  if (!value.isWellFormed()) return refuse(context, 'string_unicode', UNPAIRED_SURROGATE);
  for (const form of FORMS) {
    const groups = form.exec(value)?.slice(1);
    if (groups) return groups.join('-').toLowerCase();
  }
  const msg = 'Input should be a valid UUID, like 123e4567-e89b-42d3-a456-426614174000';
  return refuse(context, 'uuid_parsing', msg);
});
