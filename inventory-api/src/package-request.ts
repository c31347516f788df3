import { lastValue } from 'service-kit/query';
import { uuidSchema } from 'service-kit/uuid';
import { textSchema } from 'service-kit/validation';
import { z } from 'zod';

const customerId = '123e4567-e89b-42d3-a456-426614174000';

const customerIdMeta = {
  description: 'The customer who gets the package. Any UUID, known or not.',
  examples: [customerId],
};

const packageTypeSchema = textSchema.meta({
  description: 'What to send.',
  examples: ['welcome_package'],
});

export const packageRequestCreateSchema = z
  .object({
    customer_id: uuidSchema.meta({ ...customerIdMeta, type: 'string', format: 'uuid' }),
    package_type: packageTypeSchema.default('welcome_package'),
  })
  .meta({
    id: 'PackageRequestCreate',
    description: 'What a new package request needs.',
    examples: [{ customer_id: customerId, package_type: 'welcome_package' }],
  });

export const packageRequestQuerySchema = z.object({
  customer_id: lastValue(uuidSchema).optional().meta({
    // No example: Swagger UI would fill it in, and the list would be empty.
    description: 'Only the package requests of this customer.',
    type: 'string',
    format: 'uuid',
  }),
});

export const packageRequestSchema = z
  .object({
    customer_id: z.guid().meta(customerIdMeta),
    package_type: packageTypeSchema,
    request_id: z.uuid().meta({
      description: 'Identifier, a version 4 UUID.',
      examples: ['e1a2b3c4-d5e6-47a8-b9c0-d1e2f3a4b5c6'],
    }),
    status: z.enum(['pending', 'shipped', 'delivered']).meta({
      description: 'How far the package has come.',
      examples: ['pending'],
    }),
    created_at: z.iso.datetime().meta({
      description: 'When the request was created, UTC.',
      examples: ['2026-01-01T12:01:00.000Z'],
    }),
  })
  .meta({ id: 'PackageRequest', description: 'A package request as stored.' });

export type PackageRequestCreate = z.output<typeof packageRequestCreateSchema>;
export type PackageRequest = z.output<typeof packageRequestSchema>;
