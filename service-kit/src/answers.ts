import { z } from 'zod';

/** `{"detail": "…"}`: what went wrong, in one sentence. */
export const errorSchema = z
  .object({ detail: z.string().describe('What went wrong.') })
  .meta({ id: 'Error', description: 'Why the request was not carried out.' });

/** `{"detail": [{type, loc, msg, input}]}`: the wrong fields, each with the reason. */
export const validationErrorSchema = z
  .object({
    detail: z
      .array(
        z.object({
          type: z.string().describe('The kind of error.'),
          loc: z
            .array(z.union([z.string(), z.int()]))
            .describe('Where it is: the part of the request, then the path inside it.'),
          msg: z.string().describe('The reason.'),
          input: z.unknown().describe('What came.'),
        }),
      )
      .describe('One item a wrong field.'),
  })
  .meta({
    id: 'ValidationError',
    description: 'The fields that are wrong, in their order.',
    examples: [
      { detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }] },
    ],
  });

/** Documents an answer in JSON: its text and its schema. */
export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } };
}

/** Documents an answer `{"detail": …}`: its text and an example of the detail. */
export function errorAnswer(description: string, detail: string) {
  return {
    description,
    content: { 'application/json': { schema: errorSchema, example: { detail } } },
  };
}

/**
 * The errors that any route may answer with. Spread this before a route's own answers, which replace the
 * same status with more detail.
 */
export const commonErrors = {
  400: errorAnswer('The request is not valid HTTP.', 'Bad Request'),
  408: errorAnswer('The request took longer than 10 seconds to arrive.', 'Request Timeout'),
  431: errorAnswer('The headers are larger than 16 KiB.', 'Request Header Fields Too Large'),
  500: errorAnswer('Something broke; the log of the service says what.', 'Internal Server Error'),
};

/** The errors that every route with a body may answer with when it cannot use the body. */
export const bodyErrors = {
  400: errorAnswer(
    'The request is not valid HTTP, or its body not valid UTF-8 or nested deeper than 1,000 levels.',
    'The body is not valid UTF-8.',
  ),
  413: errorAnswer('The body is larger than 1 MiB.', 'Request body is too large'),
  415: errorAnswer(
    'The content type is neither application/json nor application/*+json.',
    "Content type 'text/plain' is not supported: send application/json.",
  ),
  422: answer('A field is missing or wrong, or the body is not JSON.', validationErrorSchema),
};
