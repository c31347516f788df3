import { expect, it } from 'vitest';
import { z } from 'zod';
import { fastSerializerCompiler, strictSerializerCompiler } from '../src/serialization.ts';

const schema = z.object({ b: z.string(), a: z.number() });
const route = { schema, method: 'GET', url: '/' };

it.each([
  ['fast', fastSerializerCompiler],
  ['strict', strictSerializerCompiler],
])('writes declared fields only, in their order: %s', (_, compile) => {
  expect(compile(route)({ secret: 'x', a: 1, b: 'é' })).toBe('{"b":"é","a":1}');
});

it('finds a wrong value when it is strict', () => {
  expect(() => strictSerializerCompiler(route)({ a: '1', b: 'x' })).toThrow('expected number');
});
