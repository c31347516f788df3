import { z } from 'zod';

/** A query parameter. If it is repeated, the last value counts, as in FastAPI. */
export function lastValue<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((value) => [value].flat().at(-1), schema);
}

/** A whole number in a query, documented as an integer, not as text. */
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

/** One or more of the given values in a query: `a,b`, or the parameter repeated. */
export function queryChoices<Value extends string>(values: readonly Value[], description: string) {
  const error = `Input should be one or more of ${values.join(', ')}`;
  const isChoice = (value: string): value is Value => values.includes(value as Value);
  return z
    .preprocess(
      (value) => [value].flat().flatMap((each) => String(each).split(',')),
      z.array(z.string()).refine((all) => all.every(isChoice), error),
    )
    .transform((all) => all.filter(isChoice))
    .optional()
    .meta({ description, type: 'array', items: { type: 'string', enum: [...values] } });
}

/**
 * A time in a query, as Unix time in milliseconds: a time with its zone, or a date, which means midnight
 * UTC.
 */
export function queryTime(description: string) {
  const error =
    'Input should be a date or a time with its zone: 2026-11-28 or 2026-11-28T10:00:00Z';
  return (
    lastValue(
      z.union([z.iso.date(), z.iso.datetime({ offset: true })], error).transform(Date.parse),
    )
      .optional()
      // No example: Swagger UI would fill it in, and most lists would be empty.
      .meta({ description: `${description} For example 2026-11-28T10:00:00Z.`, type: 'string' })
  );
}
