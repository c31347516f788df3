import fastJson from 'fast-json-stringify';
import type { FastifySerializerCompiler } from 'fastify';
import { z } from 'zod';

/**
 * Compiles a response's zod schema to a serializer that writes the declared fields in order and drops
 * others. It trusts the types: only the strict serializer, which tests use, finds a wrong value.
 */
export const fastSerializerCompiler: FastifySerializerCompiler<z.ZodType> = ({ schema }) => {
  const { $schema: _, ...jsonSchema } = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'output',
    unrepresentable: 'any',
  });
  return fastJson(jsonSchema as fastJson.AnySchema);
};

/**
 * Creates the serializer of a route's response, for values that become text before the route is called.
 */
export function createSerializer<Schema extends z.ZodType>(
  schema: Schema,
  compile = fastSerializerCompiler,
): (value: z.input<Schema>) => string {
  return compile({ schema, method: '', url: '', httpStatus: '200' });
}

/** Checks every response against its schema and drops undeclared fields. Slow; for tests. */
export const strictSerializerCompiler: FastifySerializerCompiler<z.ZodType> =
  ({ schema }) =>
  (data) =>
    JSON.stringify(schema.parse(data));
