import fc from 'fast-check';
import { pino } from 'pino';
import type { HttpService } from 'service-kit/http-service';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { postJson, UTC_TIME, UUID_V4 } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';
import { type CustomerEvent, customerEventSchema } from '../src/customer-event.ts';

const PATH = '/api/crm/customers';
const ID = '123e4567-e89b-42d3-a456-426614174000';
const JANE = {
  ...{ name: 'Jane Doe', email: 'jane@example.com', phone: '+44 1', address: 'Baker Street' },
  created_at: '2026-01-01T12:00:00.000Z',
};

let app: HttpService;
let events: CustomerEvent[];
beforeEach(async () => {
  events = [];
  app = await buildApp({
    log: pino({ level: 'silent' }),
    serializerCompiler: strictSerializerCompiler,
    onEvent: (event) => events.push(event),
  });
});
afterEach(() => app.close());

const create = (email: string) => postJson(app, '/customers', { name: 'Jane', email });
const post = (body: object) => postJson(app, PATH, body);
const put = (body: object, id = ID) =>
  app.inject({ method: 'PUT', url: `${PATH}/${id}`, payload: body });
const remove = (version?: number | string, id = ID) =>
  app.inject({
    method: 'DELETE',
    url: `${PATH}/${id}${version === undefined ? '' : `?version=${version}`}`,
  });
const get = (id = ID) => app.inject(`${PATH}/${id}`);
const list = async (path = PATH) => (await app.inject(path)).json();
const types = () => events.map(({ type }) => type);

it('creates with the id, the version and the time that it is given, by PUT and by POST', async () => {
  const response = await put({ ...JANE, version: 3 });
  expect(response.statusCode).toBe(201);
  const { name, email, phone, address, created_at } = JANE;
  const expected = { name, email, id: ID, created_at, version: 3, phone, address };
  expect(response.json()).toEqual(expected);
  expect((await get()).json()).toEqual(expected);
  expect((await get(ID.toUpperCase())).json()).toEqual(expected);
  const other = { ...JANE, id: ID.replace('1', '2'), version: 1 };
  expect((await post(other)).statusCode).toBe(201);
  expect(await list()).toEqual([expected, other]);
  expect(await list('/customers')).toEqual(
    [expected, other].map(({ id }) => ({ name, email, id, created_at })),
  );
  expect(types()).toEqual(['CREATE', 'CREATE']);
});

it('makes an id, a version and a time if it is given none', async () => {
  const customer = (await post({ name: 'Jane', email: 'jane@example.com' })).json();
  expect(customer).toMatchObject({ version: 1, phone: null, address: null });
  expect(customer.id).toMatch(UUID_V4);
  expect(customer.created_at).toMatch(UTC_TIME);
});

it('shows what POST /customers made at version 1, with nothing but its four fields', async () => {
  const customer = (await create('jane@example.com')).json();
  const expected = { ...customer, version: 1, phone: null, address: null };
  expect(await list()).toEqual([expected]);
  expect((await get(customer.id)).json()).toEqual(expected);
});

describe('of two states of a customer', () => {
  beforeEach(() => put({ ...JANE, version: 3 }));

  it('the later one wins', async () => {
    const response = await put({ name: 'Janet', email: 'janet@example.com', version: 4 });
    expect(response.statusCode).toBe(200);
    const expected = {
      ...{ name: 'Janet', email: 'janet@example.com', id: ID, created_at: JANE.created_at },
      ...{ version: 4, phone: null, address: null },
    };
    expect(response.json()).toEqual(expected);
    expect(await list()).toEqual([expected]);
    expect(types()).toEqual(['CREATE', 'UPDATE']);
  });

  it('the same one is taken again, and is no event', async () => {
    const again = await put({ ...JANE, version: 3 });
    expect([again.statusCode, again.json().version]).toEqual([200, 3]);
    expect(types()).toEqual(['CREATE']);
  });

  it.each([
    ['an earlier one', { ...JANE, version: 2 }],
    ['another one of the same version', { ...JANE, version: 3, name: 'Janet' }],
    ['another one of the same version: an address less', { ...JANE, version: 3, address: null }],
  ])('%s is refused, with the version that is held', async (_, body) => {
    for (const response of [await put(body), await post({ ...body, id: ID })]) {
      expect(response.statusCode).toBe(412);
      expect(response.json()).toEqual({
        detail: 'The CRM has version 3 of this customer.',
        version: 3,
      });
    }
    expect(await list()).toMatchObject([JANE]);
    expect(types()).toEqual(['CREATE']);
  });

  it('one without a version is taken as it is, and leaves the version as it was', async () => {
    const response = await put({ ...JANE, name: 'By hand' });
    expect([response.statusCode, response.json().version]).toEqual([200, 3]);
    expect((await put({ ...JANE, version: 3 })).statusCode).toBe(412);
    expect((await put({ ...JANE, version: 4 })).statusCode).toBe(200);
    expect(await list()).toMatchObject([{ ...JANE, version: 4 }]);
  });
});

describe('a customer who was deleted', () => {
  beforeEach(async () => {
    await put({ ...JANE, version: 3 });
    expect((await remove(4)).statusCode).toBe(204);
  });

  it('is in no list, and is an event', async () => {
    expect((await get()).statusCode).toBe(404);
    expect([await list(), await list('/customers')]).toEqual([[], []]);
    expect(JSON.parse(events[1]?.json ?? '')).toMatchObject({
      event_type: 'DELETE',
      customer: { id: ID, version: 4 },
    });
  });

  it.each([
    ['an earlier version', 3],
    ['the version of the deletion', 4],
    ['no version', undefined],
  ])('is not brought back by %s', async (_, version) => {
    const response = await put({ ...JANE, version });
    expect(response.statusCode).toBe(412);
    expect(response.json().version).toBe(4);
    expect(await list()).toEqual([]);
  });

  it('is brought back by a later version', async () => {
    expect((await put({ ...JANE, version: 5 })).statusCode).toBe(201);
    expect(await list()).toMatchObject([{ ...JANE, version: 5 }]);
  });

  it('can be deleted again, but not at an earlier version', async () => {
    expect((await remove(4)).statusCode).toBe(204);
    expect((await remove()).statusCode).toBe(204);
    expect((await remove(3)).statusCode).toBe(412);
    expect((await remove(9)).statusCode).toBe(204);
    expect((await put({ ...JANE, version: 8 })).json().version).toBe(9);
    expect(types()).toEqual(['CREATE', 'DELETE']);
  });
});

it('does not delete at the version that is held, or an earlier one', async () => {
  await put({ ...JANE, version: 3 });
  for (const version of [2, 3]) {
    const response = await remove(version);
    expect([response.statusCode, response.json().version]).toEqual([412, 3]);
  }
  expect(await list()).toHaveLength(1);
});

it('deletes without a version, as a person does, and remembers the version that was held', async () => {
  await put({ ...JANE, version: 3 });
  expect((await remove()).statusCode).toBe(204);
  expect((await put({ ...JANE, version: 3 })).statusCode).toBe(412);
  expect((await put({ ...JANE, version: 4 })).statusCode).toBe(201);
});

it('remembers the deletion of a customer whom it does not have', async () => {
  expect((await remove(2)).statusCode).toBe(204);
  expect((await put({ ...JANE, version: 1 })).statusCode).toBe(412);
  expect(events).toEqual([]);
});

it('takes any number of customers with one e-mail address, but POST /customers takes none', async () => {
  const other = ID.replace('1', '2');
  await put({ ...JANE, version: 1 });
  expect((await put({ ...JANE, version: 1 }, other)).statusCode).toBe(201);
  expect((await create(JANE.email)).statusCode).toBe(409);
  await put({ ...JANE, version: 2, email: 'moved@example.com' });
  expect((await create(JANE.email)).statusCode).toBe(409);
  await remove(2, other);
  expect((await create(JANE.email)).statusCode).toBe(201);
  expect((await create('moved@example.com')).statusCode).toBe(409);
});

it.each([
  ['no name', { name: undefined }, ['body', 'name']],
  ['no e-mail', { email: undefined }, ['body', 'email']],
  ['a wrong e-mail', { email: 'jane' }, ['body', 'email']],
  ['an id that is no UUID', { id: 'jane' }, ['body', 'id']],
  ['another id than the path', { id: ID.replace('1', '2') }, ['body', 'id']],
  ['a version of 0', { version: 0 }, ['body', 'version']],
  ['a version that is no number', { version: '1' }, ['body', 'version']],
  ['a version of 1.5', { version: 1.5 }, ['body', 'version']],
  ['a version that is too large', { version: 2 ** 53 }, ['body', 'version']],
  ['a phone that is no text', { phone: 7 }, ['body', 'phone']],
  ['an address in parts', { address: { city: 'London' } }, ['body', 'address']],
  ['a time without a zone', { created_at: '2026-01-01T12:00:00' }, ['body', 'created_at']],
])('refuses %s', async (_, wrong, loc) => {
  const response = await put({ ...JANE, ...wrong });
  expect(response.statusCode).toBe(422);
  expect(response.json().detail).toMatchObject([{ loc }]);
  expect(await list()).toEqual([]);
});

it('refuses ids and versions in the URL that are none', async () => {
  for (const response of [await put(JANE, 'jane'), await get('jane'), await remove(1, 'jane')]) {
    expect(response.statusCode).toBe(422);
    expect(response.json().detail).toMatchObject([{ loc: ['path', 'id'] }]);
  }
  for (const version of ['0', '-1', 'x', '']) {
    expect((await remove(version)).json().detail).toMatchObject([{ loc: ['query', 'version'] }]);
  }
});

it.each([PATH, '/customers'])(
  '%s has another tag after each change, and pages without the deleted',
  async (path) => {
    const ids = [];
    for (const letter of 'abcde') ids.push((await create(`${letter}@example.com`)).json().id);
    const tags = new Set<unknown>();
    const look = async () => tags.add((await app.inject(path)).headers.etag);
    await look();
    await put({ ...JANE, version: 2 }, ids[1]);
    await look();
    await remove(undefined, ids[2]);
    await look();
    expect(tags.size).toBe(3);
    const first = await app.inject(`${path}?limit=3`);
    expect(first.json().map(({ id }: { id: string }) => id)).toEqual([ids[0], ids[1], ids[3]]);
    const next = /<(.*)>/.exec(String(first.headers.link))?.[1];
    const second = await app.inject(`${path}${next}`);
    expect(second.json().map(({ id }: { id: string }) => id)).toEqual([ids[4]]);
  },
);

it('describes every event as documented', async () => {
  await put({ ...JANE, version: 1 });
  await put({ ...JANE, version: 2, name: 'Janet' });
  await remove(3);
  for (const { json } of events) {
    expect(JSON.stringify(customerEventSchema.parse(JSON.parse(json)))).toBe(json);
  }
  expect(new Set(events.map(({ customerId }) => customerId))).toEqual(new Set([ID]));
});

it('whatever comes, in any order and how often, leaves the latest state', async () => {
  const stateArb = fc.record({ isDeletion: fc.boolean(), calls: fc.integer({ min: 1, max: 3 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(stateArb, { minLength: 1, maxLength: 6 }),
      fc.gen(),
      async (states, gen) => {
        const id = crypto.randomUUID();
        const calls = states.flatMap(({ isDeletion, calls: count }, i) => {
          const version = i + 1;
          const call = () =>
            isDeletion ? remove(version, id) : put({ ...JANE, name: `v${version}`, version }, id);
          return Array.from({ length: count }, () => call);
        });
        for (const call of gen(fc.shuffledSubarray, calls, { minLength: calls.length }))
          await call();
        const last = states.at(-1);
        const customer = (await get(id)).json();
        if (last?.isDeletion) expect(customer).not.toHaveProperty('version');
        else expect(customer).toMatchObject({ version: states.length, name: `v${states.length}` });
      },
    ),
    { numRuns: 50 },
  );
});
