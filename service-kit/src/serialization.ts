import fastJson from 'fast-json-stringify';
import type { FastifySerializerCompiler } from 'fastify';
import { z } from 'zod';

/**
 * Compiles a response's zod schema to a serializer that writes the declared fields, in their order,
 * and drops others. It trusts the types: a wrong value is found by the strict serializer that tests
 * run with, not here.
 */
export const fastSerializerCompiler: FastifySerializerCompiler<z.ZodType> = ({ schema }) => {
  const { $schema: _, ...jsonSchema } = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'output',
    unrepresentable: 'any',
  });
  return fastJson(jsonSchema as fastJson.AnySchema);
};

/** How a route's responses become text, for what is to become text before its route is called. */
export function createSerializer<Schema extends z.ZodType>(
  schema: Schema,
  compile = fastSerializerCompiler,
): (value: z.input<Schema>) => string {
  return compile({ schema, method: '', url: '', httpStatus: '200' });
}

/** Checks every response against its schema and drops what is not declared. Slow; for tests. */
export const strictSerializerCompiler: FastifySerializerCompiler<z.ZodType> =
  ({ schema }) =>
  (data) =>
    JSON.stringify(schema.parse(data));
