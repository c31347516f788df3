import { z } from 'zod';
import type { Precondition } from './shop.ts';

/** Entity tags (RFC 9110, section 8.8.3), with commas between them, or an asterisk. */
const TAGS =
  /^\s*(?:\*|(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*)\s*$/;

export const ifMatchSchema = z.looseObject({
  'if-match': z
    .string()
    .regex(TAGS, 'Input should be the ETag of the customer, in its quotation marks: "1"')
    .optional()
    .meta({
      // No example: Swagger UI would fill it in.
      description: 'Only if the customer still has this `ETag`, or one of several.',
    }),
});

/** What `If-Match` asks for; `undefined` when it asks for nothing (RFC 9110, section 13.1.1). */
export function preconditionOf(headers: z.output<typeof ifMatchSchema>): Precondition | undefined {
  const tags = headers['if-match']?.trim();
  if (tags === undefined) return undefined;
  if (tags === '*') return () => true;
  // By strong comparison, a weak tag equals nothing.
  const strong = [...tags.matchAll(/(W\/)?("[^"]*")/g)].filter(([, weak]) => !weak);
  const wanted = new Set(strong.map(([, , tag]) => tag));
  return (version) => wanted.has(`"${version}"`);
}
