import { z } from 'zod';

/** A query parameter of which, when it is repeated, the last value counts, as in FastAPI. */
export function lastValue<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((value) => [value].flat().at(-1), schema);
}

/** A whole number in a query; documented as what it means, not as the text that it comes as. */
export function queryNumber(meta: { description: string; minimum: number; maximum: number }) {
  const { minimum, maximum } = meta;
  const error = `Input should be a whole number from ${minimum} to ${maximum}`;
  const schema = z
    .string()
    .regex(/^\d{1,16}$/, error)
    .transform(Number)
    .pipe(z.number().min(minimum, error).max(maximum, error));
  return lastValue(schema)
    .optional()
    .meta({ ...meta, type: 'integer' });
}
