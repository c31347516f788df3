import { describe, expect, it } from 'vitest';
import { LedgerError } from '../../../src/delivery/ledger/ledger-error.ts';
import { pathsOfOthers } from '../../../src/flows.ts';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { JANE, PATH, setUpShop } from './set-up.ts';

const NONE = { street: null, city: null, state: null, postal_code: null, country: null };

describe.each(LEDGER_KINDS)('a body for the shop in %s', (kind) => {
  const setUp = async () => setUpShop({ ledger: await newLocation(kind) });

  it('is refused whole if a part of it is not what it must be', async () => {
    const { post, put, create, versions } = await setUp();
    const { id } = await create({ name: 'Held', email: 'held@example.com' });
    const { address } = JANE;
    for (const [place, body] of [
      ['name', { ...JANE, name: undefined }],
      ['email', { ...JANE, email: undefined }],
      ['name', { ...JANE, name: null }],
      ['email', { ...JANE, email: null }],
      ['name', { ...JANE, name: 7 }],
      ['name', { ...JANE, name: 'Jane \ud83d' }],
      ['name', { ...JANE, name: 'Jane\0' }],
      ['email', { ...JANE, email: 'jane' }],
      ['email', { ...JANE, email: 'ja\0ne@example.com' }],
      ['email', { ...JANE, email: 'ja\ud83dne@example.com' }],
      ['phone', { ...JANE, phone: 44 }],
      ['phone', { ...JANE, phone: '\0' }],
      ['phone', { ...JANE, phone: '\ude00' }],
      ['address', { ...JANE, address: '221B Baker Street' }],
      ['address', { ...JANE, address: [] }],
      ['city', { ...JANE, address: { ...address, city: 7 } }],
      ['street', { ...JANE, address: { ...address, street: 'x\0' } }],
      ['state', { ...JANE, address: { ...address, state: '\ud83d' } }],
      ['body', []],
      ['body', 'null'],
    ] as const) {
      for (const response of [await post(body), await put(id, body)]) {
        expect([body, response.statusCode]).toEqual([body, 422]);
        expect(
          JSON.stringify(response.json().detail.map(({ loc }: { loc: unknown }) => loc)),
        ).toContain(`"${place}"`);
      }
    }
    expect((await post('{"name":')).statusCode).toBe(422);
    expect(await versions()).toEqual(['1 pending']);
  });

  it('need not have what is optional: absent, null and blank are the same', async () => {
    const { post, put, create, versions } = await setUp();
    const { name, email } = JANE;
    const { id } = await create({ name, email });
    for (const more of [
      {},
      { phone: null, address: null },
      { phone: '', address: {} },
      { phone: ' \t', address: NONE },
      { address: { street: '', city: '  ' } },
    ]) {
      const response = await put(id, { name, email, ...more });
      expect(response.json()).toMatchObject({ phone: null, address: null, version: 1 });
    }
    expect(await versions()).toEqual(['1 pending']);
    const other = await post({ name, email: 'other@example.com', address: { city: ' Bath ' } });
    expect(other.json()).toMatchObject({ phone: null, address: { ...NONE, city: ' Bath ' } });
  });

  it('can have any text, and is stored as it came', async () => {
    const { create, get } = await setUp();
    const name = ` 𝒥åne "Doe" \\ ' -- <b>\r\n\u2028${'x'.repeat(10_000)}`;
    const { id } = await create({ ...JANE, name, phone: '☎', address: { street: `'"\u202e` } });
    expect((await get(`${PATH}/${id}`)).json()).toMatchObject({
      ...{ name, phone: '☎', address: { ...NONE, street: `'"\u202e` } },
    });
  });

  it('has an e-mail that no other customer has, by the rules of the CRM', async () => {
    const { create, post, put, versions } = await setUp();
    const { id } = await create({ name: 'Jane', email: 'Jane@Bücher.example' });
    const other = await create({ name: 'Joe', email: 'joe@example.com' });
    for (const email of [
      'Jane@bücher.example',
      ' Jane@BÜCHER.EXAMPLE',
      'Jane@xn--bcher-kva.example',
    ]) {
      for (const response of [
        await post({ name: 'Other', email }),
        await put(other.id, { name: 'Joe', email }),
      ]) {
        expect([response.statusCode, response.json()]).toEqual([
          ...[409, { detail: "Customer with email 'Jane@bücher.example' already exists." }],
        ]);
      }
      expect((await put(id, { name: 'Jane', email })).json()).toMatchObject({ version: 1 });
    }
    // The case of the local part counts.
    expect((await post({ name: 'Other', email: 'jane@bücher.example' })).statusCode).toBe(201);
    // An address that a customer gave up is free.
    expect((await put(id, { name: 'Jane', email: 'new@example.com' })).statusCode).toBe(200);
    expect((await put(other.id, { name: 'Joe', email: 'Jane@bücher.example' })).statusCode).toBe(
      200,
    );
    expect(await versions()).toEqual([
      ...['1 superseded', '1 superseded', '1 pending', '2 pending', '2 pending'],
    ]);
  });
});

it('takes a body up to 1 MiB', async () => {
  const { post, put, create } = await setUpShop();
  const { id } = await create({ name: 'Held', email: 'held@example.com' });
  const padded = (size: number) => JSON.stringify(JANE).padEnd(size, ' ');
  expect((await post(padded(1_048_576))).statusCode).toBe(201);
  expect((await post(padded(1_048_577))).statusCode).toBe(413);
  expect((await put(id, padded(1_048_577))).statusCode).toBe(413);
});

it('refuses ids and parameters that it does not understand', async () => {
  const { app, create } = await setUpShop();
  const { id } = await create();
  for (const [method, url] of [
    ...(['GET', 'PUT', 'DELETE'] as const).map((method) => [method, `${PATH}/7`] as const),
    ...(['GET', 'PUT', 'DELETE'] as const).map(
      (method) => [method, `${PATH}/${id}?force=1`] as const,
    ),
    ...(['POST', 'GET'] as const).map((method) => [method, `${PATH}?offset=1`] as const),
    ...['limit=0', 'limit=1001', 'limit=x', 'cursor=-1', 'cursor=x'].flatMap((query) => [
      ['GET', `${PATH}?${query}`] as const,
      ['GET', `/failed-requests?${query}`] as const,
    ]),
    ['GET', '/failed-requests?status=dead'],
  ] as const) {
    const payload = method === 'POST' || method === 'PUT' ? { payload: JANE } : {};
    const response = await app.inject({ method, url, ...payload });
    expect([method, url, response.statusCode]).toEqual([method, url, 422]);
  }
});

it('asks for the token on all routes but those for machines, docs and the greeting', async () => {
  const { app, create, get, messages } = await setUpShop({
    app: { adminToken: 'a-token-of-mine' },
  });
  expect(await create()).toEqual({ detail: expect.any(String) });
  const statusOf = async (method: 'GET', url: string, headers = {}) =>
    (await app.inject({ method, url, headers, payload: JANE })).statusCode;
  const { paths } = (await get('/openapi.json')).json();
  const open: string[] = [];
  for (const [path, operations] of Object.entries<object>(paths)) {
    for (const each of Object.keys(operations)) {
      const method = each.toUpperCase() as 'GET';
      const url = path.replace(/\{\w+\}/g, '123e4567-e89b-42d3-a456-426614174000');
      const status = await statusOf(method, url);
      if (status !== 401) open.push(`${method} ${path}`);
      else {
        expect(await statusOf(method, url, { authorization: 'Bearer another' })).toBe(401);
        const headers = { authorization: 'Bearer a-token-of-mine' };
        expect([url, await statusOf(method, url, headers)]).not.toEqual([url, 401]);
      }
    }
  }
  expect(open.filter((each) => /customers|failed/.test(each))).toEqual([]);
  for (const url of ['/healthz', '/readyz', '/docs', '/openapi.json', '/']) {
    expect([url, await statusOf('GET', url)]).not.toEqual([url, 401]);
  }
  expect(messages('error')).toEqual([]);
});

it('says of each of its routes that the flow is off', async () => {
  const { app } = await setUpShop({
    app: { flows: [], pathsOff: pathsOfOthers(['welcome-package']) },
  });
  const id = '123e4567-e89b-42d3-a456-426614174000';
  for (const [method, url] of [
    ...(['GET', 'POST'] as const).map((method) => [method, PATH] as const),
    ...(['GET', 'PUT', 'DELETE'] as const).map((method) => [method, `${PATH}/${id}`] as const),
    ['GET', '/failed-requests'] as const,
  ]) {
    const response = await app.inject({ method, url, payload: JANE });
    expect([response.statusCode, response.json()]).toEqual([
      ...[404, { detail: 'The flow customer-sync is off (FLOWS).' }],
    ]);
  }
});

it('answers 503 while the ledger cannot be used, and changes nothing', async () => {
  const full = () => Promise.reject(new LedgerError('full', 'The disk is full.'));
  const shop = await setUpShop({ ledgerFails: { ingest: full, read: full } });
  const id = '123e4567-e89b-42d3-a456-426614174000';
  for (const response of [
    await shop.post(),
    await shop.put(id, JANE),
    await shop.remove(id),
    await shop.get(),
    await shop.get(`${PATH}/${id}`),
    await shop.get('/failed-requests'),
  ]) {
    expect([response.statusCode, response.json()]).toEqual([503, { detail: 'The disk is full.' }]);
  }
});
