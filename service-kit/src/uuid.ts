import { z } from 'zod';
import { refuse, UNPAIRED_SURROGATE } from './validation.ts';

const HYPHENATED = '([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})';
const FORMS = [
  new RegExp(`^${HYPHENATED}$`, 'i'),
  new RegExp(`^\\{${HYPHENATED}\\}$`, 'i'),
  // The prefix only in lower case, as in the original.
  new RegExp(`^urn:uuid:${HYPHENATED.replaceAll('a-f', 'a-fA-F')}$`),
  new RegExp(`^${HYPHENATED.replaceAll('-(', '(')}$`, 'i'),
];

/**
 * Accepts a UUID of any version in any form that Rust's `uuid` crate, and therefore Pydantic, reads:
 * hyphenated, without hyphens, in braces, or with the prefix `urn:uuid:`, in upper or lower case. The
 * result is hyphenated and in lower case.
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
  return refuse(context, 'uuid_parsing', `Input should be a valid UUID, ${describeFlaw(value)}`);
});

const GROUP_LENGTHS = [8, 4, 4, 4, 12];

/** Says why a text is no UUID, in the words of the `uuid` crate, which clients of the original know. */
function describeFlaw(text: string): string {
  const prefix = text.startsWith('urn:uuid:') ? 'urn:uuid:' : /^\{.*\}$/s.test(text) ? '{' : '';
  const inner = text.slice(prefix.length, prefix === '{' ? -1 : undefined);
  const odd = /[^\da-f-]/iu.exec(inner);
  if (odd) {
    const place = `found \`${odd[0]}\` at ${prefix.length + odd.index + 1}`;
    return `invalid character: expected an optional prefix of \`urn:uuid:\` followed by [0-9a-fA-F-], ${place}`;
  }
  const groups = inner.split('-');
  if (groups.length === 1 && prefix === '') {
    return `invalid length: expected length 32 for simple format, found ${text.length}`;
  }
  if (groups.length !== 5) return `invalid group count: expected 5, found ${groups.length}`;
  const wrong = GROUP_LENGTHS.findIndex((length, group) => groups[group]?.length !== length);
  // For the last group, the crate counts to the end of the text, including brace and prefix.
  const found = wrong === 4 ? text.length - 24 : groups[wrong]?.length;
  return `invalid group length in group ${wrong}: expected ${GROUP_LENGTHS[wrong]}, found ${found}`;
}
