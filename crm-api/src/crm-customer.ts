/** Customers with all that the CRM keeps of them, as other systems write them. */
import { errorSchema } from 'service-kit/answers';
import { emailSchema } from 'service-kit/email-schema';
import { queryNumber } from 'service-kit/query';
import { uuidSchema } from 'service-kit/uuid';
import { textSchema } from 'service-kit/validation';
import { z } from 'zod';
import { customerSchema, nameSchema } from './customer.ts';

const id = '123e4567-e89b-42d3-a456-426614174000';
const example = {
  ...{ id, version: 2, name: 'Jane Doe', email: 'jane.doe@example.com', phone: '+44 20 7946 0000' },
  address: '221B Baker Street, NW1 6XE London, United Kingdom',
  created_at: '2026-01-01T12:00:00.000Z',
};

const versionMeta = {
  description:
    'Grows with each change, in the system that writes the customer. What is older than what is held changes nothing.',
  ...{ examples: [2], minimum: 1, type: 'integer' },
} as const;
/** Of all numbers, those that JSON carries without loss. */
const versionSchema = z
  .number()
  .refine(
    (version) => version >= 1 && Number.isSafeInteger(version),
    'Input should be a whole number from 1 on',
  )
  .meta(versionMeta);
const idMeta = { description: 'Identifier, any UUID.', examples: [id], format: 'uuid' };
const phoneSchema = textSchema.nullable().meta({
  description: 'Telephone number.',
  examples: [example.phone],
});
const addressSchema = textSchema.nullable().meta({
  description: 'Postal address, in one line.',
  examples: [example.address],
});

export const crmCustomerSchema = z
  .object({
    ...customerSchema.shape,
    id: z.guid().meta(idMeta),
    version: versionSchema,
    phone: phoneSchema,
    address: addressSchema,
  })
  .meta({ id: 'CrmCustomer', description: 'A customer, with all that the CRM keeps.' });

/** `null` for what is optional means that there is none. */
export const crmCustomerWriteSchema = z
  .object({
    id: uuidSchema.optional().meta({
      ...{ ...idMeta, type: 'string' },
      description: 'Identifier, any UUID. Default: that of the path, or a new one.',
    }),
    version: versionSchema.optional().meta({
      ...versionMeta,
      description: `${versionMeta.description} Without it, the customer is written as it is, and keeps its version.`,
    }),
    name: nameSchema,
    email: emailSchema,
    phone: phoneSchema.optional(),
    address: addressSchema.optional(),
    created_at: z.iso
      .datetime({ offset: true, error: 'Input should be a time with its zone' })
      .transform((time) => (time.endsWith('Z') ? time : new Date(time).toISOString()))
      .optional()
      .meta({
        ...{ type: 'string', format: 'date-time', examples: [example.created_at] },
        description: 'When the customer was created. Default: what is held, or now.',
      }),
  })
  .meta({ id: 'CrmCustomerWrite', description: 'A customer to be held.', examples: [example] });

export const crmCustomerPathSchema = z.object({
  id: uuidSchema.meta({ ...idMeta, type: 'string' }),
});

export const removalQuerySchema = z.object({
  version: queryNumber({
    description:
      'Later than that of the customer. Nothing older brings the customer back. Default: that of the customer.',
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
  }),
});

/** The CRM holds a later version. */
export const staleSchema = z
  .object({
    ...errorSchema.shape,
    version: versionSchema.meta({
      ...versionMeta,
      description: 'The version that the CRM holds, or that the customer was deleted at.',
    }),
  })
  .meta({
    id: 'Stale',
    description: 'Why the version is too old.',
    examples: [{ detail: 'The CRM has version 3 of this customer.', version: 3 }],
  });

export type CrmCustomer = z.output<typeof crmCustomerSchema>;
export type CrmCustomerWrite = z.output<typeof crmCustomerWriteSchema>;
