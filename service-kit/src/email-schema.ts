import { parseEmail } from './email.ts';
import { refuse, textSchema } from './validation.ts';

/** An e-mail address in a request; the output is the form to store and to compare. */
export const emailSchema = textSchema
  .transform((text, context) => {
    const parsed = parseEmail(text);
    if (parsed.ok) return parsed.email;
    const msg = `value is not a valid email address: ${parsed.reason}`;
    return refuse(context, 'value_error', msg);
  })
  .meta({
    description: 'E-mail address. The domain is stored in lower case and Unicode.',
    examples: ['jane.doe@example.com'],
    format: 'idn-email',
    maxLength: 254,
  });
