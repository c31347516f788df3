import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import type { validationErrorSchema } from './answers.ts';

/** One wrong field, as Pydantic 2 reports it. */
type ErrorDetail = z.output<typeof validationErrorSchema>['detail'][number];

/** A request that does not fit its schema: answered with 422 and one detail per wrong field. */
export class InvalidRequestError extends Error {
  override readonly name = 'InvalidRequestError';
  readonly statusCode = 422;
  readonly details: ErrorDetail[];

  constructor(details: ErrorDetail[]) {
    super(details.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; '));
    this.details = details;
  }
}

/** What FastAPI calls the parts of a request, where Fastify has another word. */
const NAMES_IN_FASTAPI: Record<string, string> = { querystring: 'query', params: 'path' };

/** Validates a part of the request by its zod schema; drops unknown fields. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart = 'body' }) =>
  (data) => {
    // A number whose digits are kept is an object to zod.
    const result = schema.safeParse(JSON.isRawJSON(data) ? Number(data.rawJSON) : data);
    if (result.success) return { value: result.data };
    const part = NAMES_IN_FASTAPI[httpPart] ?? httpPart;
    const details = result.error.issues.flatMap((issue) => toDetails(issue, part, data));
    return { error: new InvalidRequestError(details) };
  };

/** One detail per issue, or one per unknown field. */
function toDetails(issue: z.core.$ZodIssue, part: string, data: unknown): ErrorDetail[] {
  if (issue.code !== 'unrecognized_keys') return [toDetail(issue, part, data)];
  const { path, keys, message: msg } = issue;
  return keys.map((key) => {
    const field = [...path, key] as ErrorDetail['loc'];
    return { type: 'extra_forbidden', loc: [part, ...field], msg, input: valueAt(data, field) };
  });
}

function toDetail(issue: z.core.$ZodIssue, part: string, data: unknown): ErrorDetail {
  const path = issue.path as ErrorDetail['loc'];
  const loc = [part, ...path];
  const input = valueAt(data, path);
  if (input === undefined || data === null) {
    const parent = data === null ? null : valueAt(data, path.slice(0, -1));
    return { type: 'missing', loc, msg: 'Field required', input: parent ?? null };
  }
  if (issue.code === 'invalid_type' && issue.expected === 'string') {
    return { type: 'string_type', loc, msg: 'Input should be a valid string', input };
  }
  if (issue.code === 'invalid_type' && issue.expected === 'object') {
    const msg = 'Input should be a valid dictionary or object to extract fields from';
    return { type: 'model_attributes_type', loc, msg, input };
  }
  const type = issue.code === 'custom' ? String(issue.params?.type ?? 'value_error') : issue.code;
  return { type, loc, msg: issue.message, input };
}

function valueAt(data: unknown, path: ErrorDetail['loc']): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<string | number, unknown> | undefined)?.[key],
    data,
  );
}

/** Reports a field as wrong from inside a zod transform, with its own Pydantic error type. */
export function refuse(context: z.core.$RefinementCtx, type: string, msg: string): never {
  context.issues.push({ code: 'custom', params: { type }, message: msg, input: context.value });
  return z.NEVER;
}

/** An object schema that refuses unknown fields and names the known ones. */
export function strictObject<Shape extends z.ZodRawShape>(shape: Shape) {
  const names = Object.keys(shape).join(', ') || 'none';
  return z.strictObject(shape, {
    error: ({ code }) =>
      code === 'unrecognized_keys' ? `This is not known here. Known are: ${names}` : undefined,
  });
}

/** Pydantic's message for a string with half of a surrogate pair. */
export const UNPAIRED_SURROGATE =
  'Input should be a valid string, unable to parse raw data as a unicode string';

/** Any string that UTF-8 can encode: a lone surrogate would come back as another character. */
export const textSchema = z.string().refine((text) => text.isWellFormed(), {
  error: UNPAIRED_SURROGATE,
  params: { type: 'string_unicode' },
});
