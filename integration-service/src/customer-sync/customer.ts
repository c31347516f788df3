/** A customer of the shop, as its API takes and shows it. */
import { emailSchema } from 'service-kit/email-schema';
import { uuidSchema } from 'service-kit/uuid';
import { z } from 'zod';
import { storableTextSchema } from '../delivery/routes/delivery-schemas.ts';

const id = '26903934-a784-469e-a61d-14023f521250';
const exampleAddress = {
  street: '221B Baker Street',
  city: 'London',
  state: null,
  postal_code: 'NW1 6XE',
  country: 'United Kingdom',
};
const example = {
  ...{ name: 'Jane Doe', email: 'jane.doe@example.com', phone: '+44 20 7946 0000' },
  address: exampleAddress,
};

/** What is optional and blank is as good as absent. */
const optionalTextSchema = storableTextSchema
  .nullish()
  .transform((text) => (text === undefined || text === null || text.trim() === '' ? null : text));

const partOf = (what: string, part: string | null) =>
  optionalTextSchema.meta({
    ...{ type: ['string', 'null'], description: what },
    ...(part && { examples: [part] }),
  });

const partsSchema = z.object({
  street: partOf('Street and number.', exampleAddress.street),
  city: partOf('City.', exampleAddress.city),
  state: partOf('State or region.', exampleAddress.state),
  postal_code: partOf('Postal code.', exampleAddress.postal_code),
  country: partOf('Country.', exampleAddress.country),
});
export type Address = z.output<typeof partsSchema>;

const nameSchema = storableTextSchema.meta({
  description: 'Name, kept as it is.',
  examples: [example.name],
});
const phoneMeta = { description: 'Telephone number.', examples: [example.phone] };

/** An address without parts is none. */
export const customerInputSchema = z
  .object({
    name: nameSchema,
    email: emailSchema,
    phone: optionalTextSchema.meta({ ...phoneMeta, type: ['string', 'null'] }),
    address: partsSchema
      .nullish()
      .transform((parts) =>
        parts && Object.values(parts).some((part) => part !== null) ? parts : null,
      )
      .meta({ description: 'Postal address; each part is optional.' }),
  })
  .meta({ id: 'ShopCustomerInput', description: 'The whole customer.', examples: [example] });
export type CustomerInput = z.output<typeof customerInputSchema>;

const shownTextSchema = z.string().nullable();
export const customerSchema = z
  .object({
    id: z.uuid().meta({ description: 'Identifier, a version 4 UUID.', examples: [id] }),
    name: nameSchema,
    email: z.string().meta({
      description: 'E-mail address; no two customers have the same.',
      examples: [example.email],
    }),
    phone: shownTextSchema.meta(phoneMeta),
    address: z
      .object({
        street: shownTextSchema,
        city: shownTextSchema,
        state: shownTextSchema,
        postal_code: shownTextSchema,
        country: shownTextSchema,
      })
      .nullable()
      .meta({ description: 'Postal address.', examples: [exampleAddress] }),
    version: z.int().meta({ description: 'Grows by one with each change.', examples: [1] }),
    created_at: z.iso.datetime().meta({
      description: 'When the customer was created, UTC.',
      examples: ['2026-01-01T12:00:00.000Z'],
    }),
    updated_at: z.iso.datetime().meta({
      description: 'When the customer last changed, UTC.',
      examples: ['2026-01-01T12:00:00.000Z'],
    }),
  })
  .meta({ id: 'ShopCustomer', description: 'A customer of the shop.' });
export type Customer = z.output<typeof customerSchema>;

export const customerPathSchema = z.object({
  id: uuidSchema.meta({
    ...{ description: 'Identifier of the customer.', examples: [id] },
    ...{ type: 'string', format: 'uuid' },
  }),
});
