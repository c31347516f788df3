import { randomUUID } from 'node:crypto';
import type { JsonArray } from 'service-kit/record-list';
import type { Product } from './product.ts';

export interface ProductCatalogue {
  /** All products, in a fixed order. */
  list(): JsonArray;
  /** The product as JSON text. */
  get(id: string): string | undefined;
  /** Takes one of a product from the stock, if it is known and one is left. */
  takeOne(sku: string): void;
}

/**
 * A dozen products in memory. Identifiers, prices and times are the same in every process, so that a restart
 * changes only what was taken.
 *
 * @param serialize turns a product into JSON text; called once for each state of a product
 */
export function createProductCatalogue(serialize: (product: Product) => string): ProductCatalogue {
  const epoch = randomUUID().slice(-12);
  const products = PRODUCTS.map((product) => ({ ...product }));
  const texts = products.map(serialize);
  const positions = new Map(products.map(({ sku }, i) => [sku, i]));
  let revision = 0;

  return {
    list() {
      const bytes = Buffer.from(`[${texts.join(',')}]`);
      return { byteLength: bytes.length, pieces: [bytes], etag: `"${epoch}-${revision}"` };
    },
    get: (id) => texts[products.findIndex((product) => product.id === id)],
    takeOne(sku) {
      const position = positions.get(sku);
      const product = products[position ?? -1];
      if (position === undefined || !product || product.stock === 0) return;
      product.stock -= 1;
      product.updated_at = new Date().toISOString();
      texts[position] = serialize(product);
      revision += 1;
    },
  };
}

const PRODUCTS: readonly Product[] = (
  [
    ['welcome_package', 'Welcome package', 'packages', 14.9, 100_000],
    ['birthday_package', 'Birthday package', 'packages', 19.9, 5_000],
    ['loyalty_package', 'Loyalty package', 'packages', 24.5, 2_000],
    ['tea_sampler', 'Tea sampler', 'drinks', 12.95, 800],
    ['coffee_beans', 'Coffee beans, 1 kg', 'drinks', 18, 650],
    ['mug', 'Mug "Good morning"', 'kitchen', 9.5, 1_200],
    ['tote_bag', 'Tote bag', 'accessories', 7.25, 900],
    ['notebook', 'Notebook, A5', 'stationery', 5.99, 3_000],
    ['pen_set', 'Pen set', 'stationery', 8.4, 1_500],
    ['umbrella', 'Umbrella', 'accessories', 22, 300],
    ['gift_card', 'Gift card', 'vouchers', 25, 10_000],
    ['sticker_sheet', 'Sticker sheet', 'stationery', 1.5, 0],
  ] as const
).map(([sku, name, category, price, stock], i) => ({
  id: `a4cf6c1b-7d0b-4c0e-9b8f-3f1d2c5e6a${String(i + 1).padStart(2, '0')}`,
  ...{ sku, name, category, price, currency: 'EUR', stock },
  updated_at: '2026-01-01T00:00:00.000Z',
}));
