import { z } from 'zod';

const id = 'a4cf6c1b-7d0b-4c0e-9b8f-3f1d2c5e6a01';

export const productParamsSchema = z.object({
  id: z.string().meta({ description: 'The identifier of the product.', examples: [id] }),
});

export const productSchema = z
  .object({
    id: z.uuid().meta({ description: 'Identifier, a version 4 UUID.', examples: [id] }),
    sku: z.string().meta({
      description: 'Stock-keeping unit: the `package_type` that it is requested by.',
      examples: ['welcome_package'],
    }),
    name: z.string().meta({ description: 'Name.', examples: ['Welcome package'] }),
    category: z.string().meta({ description: 'Category.', examples: ['packages'] }),
    price: z.number().meta({ description: 'Price of one, in `currency`.', examples: [14.9] }),
    currency: z.string().meta({ description: 'Currency, ISO 4217.', examples: ['EUR'] }),
    stock: z.int().meta({ description: 'How many there are.', examples: [1000] }),
    updated_at: z.iso.datetime().meta({
      description: 'When it last changed, UTC.',
      examples: ['2026-01-01T00:00:00.000Z'],
    }),
  })
  .meta({ id: 'Product', description: 'A product of the catalogue.' });

export type Product = z.output<typeof productSchema>;
