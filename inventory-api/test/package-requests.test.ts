import type { HttpService } from 'service-kit/http-service';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildForTest, postJson, UTC_TIME, UUID_V4 } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';
import { createPackageRequestStore } from '../src/package-request-store.ts';

const CUSTOMER_ID = 'c3e8e5a6-3d7c-0c6c-0f3e-4d4b1a1b1a1a';
const HEX = CUSTOMER_ID.replaceAll('-', '');

let app: HttpService;
beforeEach(async () => {
  app = await buildForTest(buildApp);
});
afterEach(() => app.close());

const create = (body: object | string) => postJson(app, '/package-requests', body);
const list = async () => (await app.inject({ url: '/package-requests' })).json();
const search = (query: string) => app.inject({ url: `/package-requests?${query}` });

it('creates a pending request with an id and a time, in the order of the contract', async () => {
  const response = await create({ package_type: 'birthday', customer_id: CUSTOMER_ID });
  expect(response.statusCode).toBe(201);
  const request = response.json();
  expect(Object.keys(request)).toEqual([
    'customer_id',
    'package_type',
    'request_id',
    'status',
    'created_at',
  ]);
  expect(request).toMatchObject({
    customer_id: CUSTOMER_ID,
    package_type: 'birthday',
    status: 'pending',
  });
  expect(request.request_id).toMatch(UUID_V4);
  expect(request.created_at).toMatch(UTC_TIME);
});

it('documents the id of a customer as a UUID', async () => {
  const { components } = (await app.inject({ url: '/openapi.json' })).json();
  for (const name of ['PackageRequestCreate', 'PackageRequest']) {
    const { customer_id } = components.schemas[name].properties;
    expect(customer_id).toMatchObject({ type: 'string', format: 'uuid' });
  }
});

it('asks for a welcome package when no type is given', async () => {
  expect((await create({ customer_id: CUSTOMER_ID })).json().package_type).toBe('welcome_package');
});

it('lists nothing at first, then all requests in order of creation, equal ones too', async () => {
  expect(await list()).toEqual([]);
  const created = [];
  for (let i = 0; i < 3; i++) created.push((await create({ customer_id: CUSTOMER_ID })).json());
  expect(await list()).toEqual(created);
  expect(new Set(created.map(({ request_id }) => request_id)).size).toBe(3);
});

it.each(['', ' ', '名前 🎁', '\n'])('keeps a package type as it is: %j', async (package_type) => {
  const response = await create({ customer_id: CUSTOMER_ID, package_type });
  expect(response.json().package_type).toBe(package_type);
});

const UUID_FORMS = [
  'C3E8E5A6-3D7C-0C6C-0F3E-4D4B1A1B1A1A',
  'c3e8e5a63d7c0c6c0f3e4d4b1a1b1a1a',
  'C3E8E5A63D7C0C6C0F3E4D4B1A1B1A1A',
  '{c3e8e5a6-3d7c-0c6c-0f3e-4d4b1a1b1a1a}',
  '{C3E8E5A6-3D7C-0C6C-0F3E-4D4B1A1B1A1A}',
  'urn:uuid:c3e8e5a6-3d7c-0c6c-0f3e-4d4b1a1b1a1a',
  'urn:uuid:C3E8E5A6-3D7C-0C6C-0F3E-4D4B1A1B1A1A',
];

it.each(UUID_FORMS)('takes a UUID in the form %s', async (customer_id) => {
  const response = await create({ customer_id });
  expect(response.statusCode).toBe(201);
  expect(response.json().customer_id).toBe(CUSTOMER_ID);
  expect((await list())[0].customer_id).toBe(CUSTOMER_ID);
});

it.each(['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'])(
  'takes a UUID of any version: %s',
  async (customer_id) => {
    expect((await create({ customer_id })).json().customer_id).toBe(customer_id);
  },
);

const ODD =
  'invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found';

/** In the words of pydantic 2.5.2. */
it.each([
  ['', 'invalid length: expected length 32 for simple format, found 0'],
  ['nope', `${ODD} \`n\` at 1`],
  [`${CUSTOMER_ID} `, `${ODD} \` \` at 37`],
  [` ${CUSTOMER_ID}`, `${ODD} \` \` at 1`],
  [`${CUSTOMER_ID}\n`, `${ODD} \`\n\` at 37`],
  [`${CUSTOMER_ID}0`, 'invalid group length in group 4: expected 12, found 13'],
  [`{${CUSTOMER_ID}0}`, 'invalid group length in group 4: expected 12, found 15'],
  [`${CUSTOMER_ID}-0`, 'invalid group count: expected 5, found 6'],
  [CUSTOMER_ID.slice(1), 'invalid group length in group 0: expected 8, found 7'],
  [`g${CUSTOMER_ID.slice(1)}`, `${ODD} \`g\` at 1`],
  [`{${CUSTOMER_ID}`, `${ODD} \`{\` at 1`],
  [`(${CUSTOMER_ID})`, `${ODD} \`(\` at 1`],
  [`${CUSTOMER_ID.slice(0, 9)}🎁`, `${ODD} \`🎁\` at 10`],
  [`{${HEX}}`, 'invalid group count: expected 5, found 1'],
  [`urn:uuid:${HEX}`, 'invalid group count: expected 5, found 1'],
  [`${HEX}0`, 'invalid length: expected length 32 for simple format, found 33'],
  [`URN:UUID:${CUSTOMER_ID}`, `${ODD} \`U\` at 1`],
  ['c3e8e5a63-d7c-0c6c-0f3e-4d4b1a1b1a1a', 'invalid group length in group 0: expected 8, found 9'],
  ['c3e8e5a6_3d7c_0c6c_0f3e_4d4b1a1b1a1a', `${ODD} \`_\` at 9`],
])('refuses %j as a UUID, with what came', async (customer_id, flaw) => {
  const response = await create({ customer_id });
  expect(response.statusCode).toBe(422);
  expect(response.json()).toEqual({
    detail: [
      {
        type: 'uuid_parsing',
        loc: ['body', 'customer_id'],
        msg: `Input should be a valid UUID, ${flaw}`,
        input: customer_id,
      },
    ],
  });
  expect(await list()).toEqual([]);
});

it.each([7, 1.5, true, null, [], {}])(
  'refuses %j as a UUID or a package type, without turning it into text',
  async (input) => {
    const response = await create({ package_type: input, customer_id: input });
    expect(response.statusCode).toBe(422);
    expect(response.json()).toEqual({
      detail: [
        {
          type: 'uuid_type',
          loc: ['body', 'customer_id'],
          msg: 'UUID input should be a string, bytes or UUID object',
          input,
        },
        {
          type: 'string_type',
          loc: ['body', 'package_type'],
          msg: 'Input should be a valid string',
          input,
        },
      ],
    });
  },
);

it('refuses a lone surrogate at its field', async () => {
  const response = await create('{"customer_id":"\\ud800","package_type":"\\udc00x"}');
  expect(response.statusCode).toBe(422);
  expect(response.json().detail).toMatchObject([
    { type: 'string_unicode', loc: ['body', 'customer_id'] },
    { type: 'string_unicode', loc: ['body', 'package_type'] },
  ]);
});

it('takes the two hundred thousandth request of one customer as fast as the first', {
  timeout: 60_000,
}, () => {
  // Not a test of speed: if every request copied all earlier positions, it would take minutes.
  const { create, list } = createPackageRequestStore({ serialize: JSON.stringify });
  for (let i = 0; i < 200_000; i++) {
    create({ customer_id: CUSTOMER_ID, package_type: String(i) });
  }
  const listed = JSON.parse(Buffer.concat([...list(CUSTOMER_ID).pieces]).toString());
  expect(listed.map(({ package_type }: { package_type: string }) => Number(package_type))).toEqual([
    ...Array(200_000).keys(),
  ]);
});

describe('a list of one customer', () => {
  const OTHER_ID = '00000000-0000-0000-0000-000000000000';

  it('has the requests of this customer only, in order of creation', async () => {
    const created = [];
    for (const customer_id of [CUSTOMER_ID, OTHER_ID, CUSTOMER_ID, OTHER_ID, CUSTOMER_ID]) {
      created.push((await create({ customer_id, package_type: `${created.length}` })).json());
    }
    for (const id of [CUSTOMER_ID, OTHER_ID]) {
      const response = await search(`customer_id=${id}`);
      expect(response.statusCode).toBe(200);
      expect(response.json()).toEqual(created.filter(({ customer_id }) => customer_id === id));
    }
    expect(await list()).toEqual(created);
  });

  it('is empty for a customer without requests', async () => {
    await create({ customer_id: CUSTOMER_ID });
    const response = await search(`customer_id=${OTHER_ID}`);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual([]);
  });

  it.each(UUID_FORMS)('takes the id in the form %s', async (form) => {
    const created = (await create({ customer_id: CUSTOMER_ID })).json();
    await create({ customer_id: OTHER_ID });
    const response = await search(`customer_id=${encodeURIComponent(form)}`);
    expect(response.json()).toEqual([created]);
  });

  it.each(['', 'nope', `${CUSTOMER_ID}0`, '名前'])('is a 422 for %j', async (input) => {
    const response = await search(`customer_id=${encodeURIComponent(input)}`);
    expect(response.statusCode).toBe(422);
    expect(response.json()).toEqual({
      detail: [
        {
          type: 'uuid_parsing',
          loc: ['query', 'customer_id'],
          msg: expect.stringMatching(/^Input should be a valid UUID/),
          input,
        },
      ],
    });
  });

  it('goes by the last of several ids', async () => {
    const created = (await create({ customer_id: CUSTOMER_ID })).json();
    const repeated = (...ids: string[]) => search(ids.map((id) => `customer_id=${id}`).join('&'));
    expect((await repeated(OTHER_ID, CUSTOMER_ID)).json()).toEqual([created]);
    expect((await repeated(CUSTOMER_ID, OTHER_ID)).json()).toEqual([]);
    expect((await repeated('nope', '', CUSTOMER_ID)).json()).toEqual([created]);
    const refused = await repeated(CUSTOMER_ID, '');
    expect(refused.statusCode).toBe(422);
    expect(refused.json().detail).toMatchObject([{ loc: ['query', 'customer_id'] }]);
  });

  it('comes with parameters that mean nothing, and does not come with these alone', async () => {
    const created = (await create({ customer_id: CUSTOMER_ID })).json();
    const both = await search(`limit=x&customer_id=${OTHER_ID}&Customer_Id=nope`);
    expect(both.json()).toEqual([]);
    const alone = await search('Customer_Id=nope&customer_id[]=nope&customerId=');
    expect(alone.statusCode).toBe(200);
    expect(alone.json()).toEqual([created]);
  });

  it('is documented', async () => {
    const { paths } = (await app.inject({ url: '/openapi.json' })).json();
    const { parameters, responses } = paths['/package-requests'].get;
    expect(parameters).toEqual([
      {
        in: 'query',
        name: 'customer_id',
        required: false,
        description: expect.stringMatching(/\.$/),
        schema: { type: 'string', format: 'uuid' },
      },
      expect.objectContaining({ in: 'header', name: 'If-None-Match', required: false }),
    ]);
    expect(responses['422'].content['application/json'].schema).toEqual({
      $ref: '#/components/schemas/ValidationError',
    });
  });
});
