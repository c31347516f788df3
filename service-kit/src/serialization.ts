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

/** Checks every response against its schema and drops what is not declared. Slow; for tests. */
export const strictSerializerCompiler: FastifySerializerCompiler<z.ZodType> =
  ({ schema }) =>
  (data) =>
    JSON.stringify(schema.parse(data));
