import type { HttpService } from 'service-kit/http-service';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { buildForTest, postJson, UTC_TIME, UUID_V4 } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';

let app: HttpService;
beforeEach(async () => {
  app = await buildForTest(buildApp);
});
afterEach(() => app.close());

const create = (body: object | string) => postJson(app, '/customers', body);
const list = async () => (await app.inject({ url: '/customers' })).json();

it('creates a customer with an id and a time, in the order of the contract', async () => {
  const before = Date.now();
  const response = await create({ email: 'jane.doe@example.com', name: 'Jane Doe' });
  expect(response.statusCode).toBe(201);
  const customer = response.json();
  expect(Object.keys(customer)).toEqual(['name', 'email', 'id', 'created_at']);
  expect(customer).toMatchObject({ name: 'Jane Doe', email: 'jane.doe@example.com' });
  expect(customer.id).toMatch(UUID_V4);
  expect(customer.created_at).toMatch(UTC_TIME);
  expect(Date.parse(customer.created_at)).toBeGreaterThanOrEqual(before);
  expect(Date.parse(customer.created_at)).toBeLessThanOrEqual(Date.now());
});

it('lists nothing at first, then all customers in order of creation', async () => {
  expect(await list()).toEqual([]);
  const created = [];
  for (const name of ['c', 'a', 'b']) {
    created.push((await create({ name, email: `${name}@x.org` })).json());
  }
  expect(await list()).toEqual(created);
  expect(new Set(created.map(({ id }) => id)).size).toBe(3);
});

it('lists compact JSON with the characters themselves', async () => {
  const { id, created_at } = (await create({ name: 'Zoë 🎁 "q"', email: 'zoë@bücher.de' })).json();
  expect((await app.inject({ url: '/customers' })).body).toBe(
    `[{"name":"Zoë 🎁 \\"q\\"","email":"zoë@bücher.de","id":"${id}","created_at":"${created_at}"}]`,
  );
});

it.each(['', ' ', '  Jane\tDoe  ', 'a\nb', '\u0000', '名前', 'x'.repeat(100_000)])(
  'keeps a name as it is: %j',
  async (name) => {
    const response = await create({ name, email: 'a@x.org' });
    expect(response.statusCode).toBe(201);
    expect(response.json().name).toBe(name);
    expect((await list())[0].name).toBe(name);
  },
);

it('refuses the same e-mail again, naming it in its normal form', async () => {
  expect((await create({ name: 'Jane', email: 'jane.doe@bücher.example' })).statusCode).toBe(201);
  const again = await create({ name: 'Janet', email: ' jane.doe@XN--BCHER-KVA.Example\n' });
  expect(again.statusCode).toBe(409);
  expect(again.json()).toEqual({
    detail: "Customer with email 'jane.doe@bücher.example' already exists.",
  });
  expect(await list()).toHaveLength(1);
});

it('documents that a duplicate is refused', async () => {
  const { paths } = (await app.inject({ url: '/openapi.json' })).json();
  expect(paths['/customers'].post.responses).toHaveProperty('409');
});

it('takes e-mails whose local parts differ in case as two customers', async () => {
  expect((await create({ name: 'Jane', email: 'Jane.Doe@x.org' })).json().email).toBe(
    'Jane.Doe@x.org',
  );
  expect((await create({ name: 'Jane', email: 'jane.doe@x.org' })).statusCode).toBe(201);
  expect((await create({ name: 'Jane', email: 'jane.doe@X.org' })).statusCode).toBe(409);
  expect(await list()).toHaveLength(2);
});

it('gives one 201 when equal creates come at the same moment', async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => create({ name: 'Jane', email: 'jane@x.org' })),
  );
  const statuses = answers.map(({ statusCode }) => statusCode).sort();
  expect(statuses).toEqual([201, ...Array(49).fill(409)]);
  expect(await list()).toHaveLength(1);
});

it.each([1, 1.5, true, false, null, [], {}, ['x']])(
  'refuses %j as a name or an e-mail, without turning it into text',
  async (input) => {
    const detail = (field: string) => ({
      type: 'string_type',
      loc: ['body', field],
      msg: 'Input should be a valid string',
      input,
    });
    const response = await create({ email: input, name: input });
    expect(response.statusCode).toBe(422);
    expect(response.json()).toEqual({ detail: [detail('name'), detail('email')] });
    expect(await list()).toEqual([]);
  },
);

it.each(['', 'jane', '@x.org', 'jane@', 'Jane <jane@x.org>', 'jane@localhost', 'jane@127.0.0.1'])(
  'refuses %j as an e-mail, with what came',
  async (email) => {
    const response = await create({ name: 'Jane', email });
    expect(response.statusCode).toBe(422);
    expect(response.json()).toEqual({
      detail: [
        {
          type: 'value_error',
          loc: ['body', 'email'],
          msg: expect.stringMatching(/^value is not a valid email address: ./),
          input: email,
        },
      ],
    });
  },
);

it('reports the wrong fields in the order of the model, and before a duplicate', async () => {
  await create({ name: 'Jane', email: 'jane@x.org' });
  const both = await create({ email: 'jane' });
  expect(both.json().detail).toMatchObject([
    { type: 'missing', loc: ['body', 'name'], input: { email: 'jane' } },
    { type: 'value_error', loc: ['body', 'email'], input: 'jane' },
  ]);
  const duplicate = await create({ name: 1, email: 'jane@x.org' });
  expect(duplicate.statusCode).toBe(422);
});

it('refuses a lone surrogate at its field', async () => {
  const response = await create('{"name":"a\\ud800","email":"\\udc00@x.org"}');
  expect(response.statusCode).toBe(422);
  expect(response.body).toContain('"input":"a\\ud800"');
  expect(response.json().detail).toMatchObject([
    { type: 'string_unicode', loc: ['body', 'name'] },
    { type: 'string_unicode', loc: ['body', 'email'] },
  ]);
  expect(await list()).toEqual([]);
  expect((await create('{"name":"\\ud83c\\udf81","email":"a@x.org"}')).json().name).toBe('🎁');
});
