import { emailSchema } from 'service-kit/email-schema';
import { lastValue, queryNumber } from 'service-kit/query';
import { textSchema } from 'service-kit/validation';
import { z } from 'zod';
import { CURSOR } from './cursor.ts';

const example = { name: 'Jane Doe', email: 'jane.doe@example.com' };

export const nameSchema = textSchema.meta({
  description: 'Name, kept as it is.',
  examples: [example.name],
});

export const customerCreateSchema = z
  .object({ name: nameSchema, email: emailSchema })
  .meta({ id: 'CustomerCreate', description: 'What a new customer needs.', examples: [example] });

export const customerSchema = z
  .object({
    name: nameSchema,
    email: z.string().meta({
      description: 'E-mail address. `POST /customers` takes none that another customer has.',
      examples: [example.email],
      format: 'idn-email',
    }),
    id: z.uuid().meta({
      description: 'Identifier, a version 4 UUID.',
      examples: ['123e4567-e89b-42d3-a456-426614174000'],
    }),
    created_at: z.iso.datetime().meta({
      description: 'When the customer was created, UTC.',
      examples: ['2026-01-01T12:00:00.000Z'],
    }),
  })
  .meta({ id: 'Customer', description: 'A customer as stored.' });

export const customerQuerySchema = z.object({
  after: lastValue(textSchema).optional().meta({
    description: 'A cursor: where to go on; the Link header has it.',
    type: 'string',
    pattern: CURSOR.source,
  }),
  limit: queryNumber({ description: 'How many at the most.', minimum: 1, maximum: 1_000_000 }),
});

export type CustomerCreate = z.output<typeof customerCreateSchema>;
export type Customer = z.output<typeof customerSchema>;
export type CustomerQuery = z.output<typeof customerQuerySchema>;
