import { expect, it, onTestFinished } from 'vitest';
import { buildForTest, postJson } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';

const CUSTOMER_ID = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';

async function setUp() {
  const app = await buildForTest(buildApp);
  onTestFinished(() => app.close());
  const list = async () => (await app.inject({ url: '/products' })).json();
  return {
    app,
    list,
    find: async (sku: string) =>
      (await list()).find((product: { sku: string }) => product.sku === sku),
    request: (package_type: string, headers = {}) =>
      postJson(app, '/package-requests', { customer_id: CUSTOMER_ID, package_type }, headers),
    listWith: (etag?: string) =>
      app.inject({ url: '/products', ...(etag && { headers: { 'if-none-match': etag } }) }),
  };
}

it('lists a dozen products, the same in every process, in the order of the contract', async () => {
  const [{ list, app }, other] = [await setUp(), await setUp()];
  const products = await list();
  expect(products).toHaveLength(12);
  expect(await other.list()).toEqual(products);
  for (const key of ['id', 'sku']) {
    expect(new Set(products.map((each: Record<string, unknown>) => each[key])).size).toBe(12);
  }
  expect(Object.keys(products[0])).toEqual([
    'id',
    'sku',
    'name',
    'category',
    'price',
    'currency',
    'stock',
    'updated_at',
  ]);
  for (const product of products) {
    const response = await app.inject({ url: `/products/${product.id}` });
    expect([response.statusCode, response.json()]).toEqual([200, product]);
  }
});

it.each(['nope', '123e4567-e89b-42d3-a456-426614174000', '%00'])(
  'knows no other product: %s',
  async (id) => {
    const { app } = await setUp();
    const response = await app.inject({ url: `/products/${id}` });
    expect([response.statusCode, response.json()]).toEqual([404, { detail: 'Not Found' }]);
  },
);

it('takes one of the product whose sku is the package type', async () => {
  const { find, request, list } = await setUp();
  const [before, others] = [await find('welcome_package'), await list()];
  expect((await request('welcome_package')).statusCode).toBe(201);
  const after = await find('welcome_package');
  expect(after).toEqual({ ...before, stock: before.stock - 1, updated_at: after.updated_at });
  expect(Date.parse(after.updated_at)).toBeGreaterThan(Date.parse(before.updated_at));
  const rest = (products: { sku: string }[]) =>
    products.filter(({ sku }) => sku !== 'welcome_package');
  expect(rest(await list())).toEqual(rest(others));
});

it('takes nothing for a type that is no sku, and none below 0, and accepts both', async () => {
  const { list, request, find } = await setUp();
  const before = await list();
  expect((await request('of another kind')).statusCode).toBe(201);
  expect((await request('sticker_sheet')).statusCode).toBe(201);
  expect((await find('sticker_sheet')).stock).toBe(0);
  expect(await list()).toEqual(before);
});

it('takes one for a request that is repeated with its key, and none for a refused one', async () => {
  const { find, request } = await setUp();
  const { stock } = await find('mug');
  for (let i = 0; i < 3; i++) await request('mug', { 'idempotency-key': 'k' });
  expect((await request('tote_bag', { 'idempotency-key': 'k' })).statusCode).toBe(422);
  expect((await find('mug')).stock).toBe(stock - 1);
});

it('has another ETag after each change, and in each process', async () => {
  const { listWith, request } = await setUp();
  const { etag } = (await listWith()).headers;
  expect((await listWith(etag as string)).statusCode).toBe(304);
  await request('of another kind');
  expect((await listWith(etag as string)).statusCode).toBe(304);
  await request('mug');
  const changed = await listWith(etag as string);
  expect(changed.statusCode).toBe(200);
  expect((await listWith(changed.headers.etag as string)).statusCode).toBe(304);
  const other = await setUp();
  expect((await other.listWith(etag as string)).statusCode).toBe(200);
});
