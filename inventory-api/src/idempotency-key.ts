import { bodyErrors, errorAnswer, errorSchema, validationErrorSchema } from 'service-kit/answers';
import { HttpError } from 'service-kit/errors';
import { z } from 'zod';

const MAX_LENGTH = 255;
const PRINTABLE_ASCII = /^[ -~]*$/;
/** A String of Structured Fields (RFC 9651, section 3.3.3); its only escapes are `\"` and `\\`. */
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;

/** What `parseIdempotencyKey` accepts, bare or quoted, as a pattern for the documentation. */
const KEY = /^(?:[!#-~](?:[ -~]{0,253}[!-~])?|"(?:[ !#-\x5b\x5d-~]|\\["\\]){1,255}")$/;

/**
 * Documents the header. The schema itself checks nothing, because Node has the header's name in lower
 * case. `parseIdempotencyKey` checks the header after the body was validated, and answers with 400.
 */
export const idempotencyKeyHeaderSchema = z.looseObject({
  'Idempotency-Key': z
    .string()
    .optional()
    .meta({
      description:
        'Names this request, so that sending it again has no further effect. 1 to 255 characters of ' +
        'printable ASCII, bare or as a quoted string; both forms are the same key.',
      // No example: Swagger UI would fill it in, and a second Execute would repeat the first request.
      pattern: KEY.source,
    }),
});

export const idempotencyReplayedSchema = z.literal('true').meta({
  description: 'Present if this is the answer to an earlier request with the same key, sent again.',
});

/** The answers to an invalid body and to an invalid key. */
export const idempotencyKeyErrors = {
  400: errorAnswer(
    `${bodyErrors[400].description} Or the Idempotency-Key is not a key.`,
    'The Idempotency-Key is empty.',
  ),
  422: {
    description: `${bodyErrors[422].description} Or the Idempotency-Key was used for another request.`,
    content: {
      'application/json': {
        schema: z.union([errorSchema, validationErrorSchema]),
        example: { detail: "The Idempotency-Key 'a1b2' was used for another request." },
      },
    },
  },
};

/**
 * Reads the `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header) from its raw header
 * lines: name, value, name, value. The draft requires a quoted string, but clients also send the key bare:
 * `"abc"` and `abc` are the same key. `undefined` if there is no such header.
 *
 * @throws {HttpError} 400 if there are several keys, or the key is empty, too long, not printable ASCII,
 * or begins with a quote but is not a quoted string
 */
export function parseIdempotencyKey(rawHeaders: readonly string[]): string | undefined {
  // Not from `headers`: Node would join two keys `a` and `b` into one, `a, b`.
  const values = rawHeaders.filter(
    (_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'idempotency-key',
  );
  const [value] = values;
  if (value === undefined) return undefined;
  if (values.length > 1) refuse(`A request has one Idempotency-Key, not ${values.length}.`);
  if (!PRINTABLE_ASCII.test(value)) refuse('The Idempotency-Key is not all printable ASCII.');

  const key = value.startsWith('"') ? unquote(value) : value;
  if (key === '') refuse('The Idempotency-Key is empty.');
  if (key.length > MAX_LENGTH) {
    refuse(`The Idempotency-Key has ${key.length} characters, of at most ${MAX_LENGTH}.`);
  }
  return key;
}

function unquote(value: string): string {
  const quoted = QUOTED.exec(value)?.[1];
  if (quoted === undefined) {
    refuse('The Idempotency-Key begins with a quote and is no quoted string.');
  }
  return quoted.replace(/\\(.)/g, '$1');
}

function refuse(detail: string): never {
  throw new HttpError(400, detail);
}
