import { describe, expect, it } from 'vitest';
import { UTC_TIME, UUID_V4 } from '../../../../service-kit/test/http-contract.ts';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { customerOf, JANE, PATH, setUpShop } from './set-up.ts';

const NOBODY = '123e4567-e89b-42d3-a456-426614174000';

describe.each(LEDGER_KINDS)('the customers of a shop in %s', (kind) => {
  const setUp = async () => setUpShop({ ledger: await newLocation(kind) });

  it('are created with an id, a version and their times', async () => {
    const { post, get } = await setUp();
    const response = await post(JANE);
    const customer = response.json();
    expect(customer).toEqual({
      ...{ ...JANE, id: expect.stringMatching(UUID_V4), version: 1 },
      ...{ created_at: expect.stringMatching(UTC_TIME), updated_at: customer.created_at },
    });
    expect([response.statusCode, response.headers.etag, response.headers.location]).toEqual([
      ...[201, '"1"', `${PATH}/${customer.id}`],
    ]);
    const found = await get(response.headers.location as string);
    expect([found.statusCode, found.headers.etag, found.json()]).toEqual([200, '"1"', customer]);
    const other = await get(`${PATH}/${customer.id.toUpperCase()}`);
    expect(other.json()).toEqual(customer);
  });

  it('are listed in order of creation, in pages that lead on', async () => {
    const { create, get, remove } = await setUp();
    const all = [];
    for (let i = 0; i < 6; i++) all.push(await create(customerOf(i)));
    await remove(all[2]?.id as string);
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let url: string | undefined = `${PATH}?limit=2`; url; ) {
      const response = await get(url);
      sizes.push(response.json().length);
      seen.push(...response.json().map(({ name }: { name: string }) => name));
      const next = /^<(\?[^>]*)>; rel="next"$/.exec((response.headers.link as string) ?? '')?.[1];
      url = next && `${PATH}${next}`;
    }
    expect(seen).toEqual([0, 1, 3, 4, 5].map((i) => `Customer ${i}`));
    expect(sizes).toEqual([2, 2, 1]);
    const whole = await get();
    expect(whole.json()).toEqual(all.filter((_, i) => i !== 2));
    expect(whole.headers.link).toBeUndefined();
    expect((await get(`${PATH}?limit=5`)).headers.link).toBeUndefined();
  });

  it('are replaced as a whole, at the next version', async () => {
    const { create, put, get, versions } = await setUp();
    const { id, created_at, updated_at } = await create();
    const response = await put(id, { name: 'Jane Roe', email: JANE.email });
    const customer = response.json();
    expect([response.statusCode, response.headers.etag]).toEqual([200, '"2"']);
    expect(customer).toEqual({
      ...{ id, name: 'Jane Roe', email: JANE.email, phone: null, address: null, version: 2 },
      ...{ created_at, updated_at: expect.stringMatching(UTC_TIME) },
    });
    expect(customer.updated_at >= updated_at).toBe(true);
    expect((await get(`${PATH}/${id}`)).json()).toEqual(customer);
    expect(await versions()).toEqual(['1 superseded', '2 pending']);
  });

  it('keep version and time, and nothing is sent, when a replacement changes nothing', async () => {
    const { create, put, get, versions } = await setUp();
    const customer = await create();
    for (const body of [
      JANE,
      { ...JANE, email: ' jane.doe@EXAMPLE.com ' },
      { ...JANE, address: Object.fromEntries(Object.entries(JANE.address).reverse()) },
      { ...JANE, address: { ...JANE.address, state: undefined } },
      { ...JANE, address: { ...JANE.address, state: ' ' } },
      { ...JANE, version: 7, id: NOBODY, nickname: 'J' },
    ]) {
      const response = await put(customer.id, body);
      expect([response.statusCode, response.headers.etag, response.json()]).toEqual([
        ...[200, '"1"', customer],
      ]);
    }
    expect((await get(`${PATH}/${customer.id}`)).json()).toEqual(customer);
    expect(await versions()).toEqual(['1 pending']);
    // If-Match is looked at first.
    expect((await put(customer.id, JANE, { 'if-match': '"7"' })).statusCode).toBe(412);
  });

  it('are gone when they are deleted', async () => {
    const { create, remove, get, versions } = await setUp();
    const { id } = await create();
    const response = await remove(id);
    expect([response.statusCode, response.body]).toEqual([204, '']);
    expect((await get(`${PATH}/${id}`)).statusCode).toBe(404);
    expect((await get()).json()).toEqual([]);
    expect(await versions()).toEqual(['1 superseded', '2 pending']);
  });

  it('who do not exist can neither be read, replaced nor deleted', async () => {
    const { create, get, put, remove, versions } = await setUp();
    const { id } = await create();
    await remove(id);
    for (const each of [NOBODY, id]) {
      for (const response of [
        await get(`${PATH}/${each}`),
        await put(each, JANE),
        await put(each, JANE, { 'if-match': '*' }),
        await remove(each),
      ]) {
        expect([response.statusCode, response.json()]).toEqual([
          ...[404, { detail: `There is no customer '${each}'.` }],
        ]);
      }
    }
    expect(await versions()).toEqual(['1 superseded', '2 pending']);
  });

  it('are changed and deleted only if they have a version of If-Match', async () => {
    const { create, put, remove, get } = await setUp();
    for (const [tags, status] of [
      ...['"2"', '"1", "2"', '"1","3" , "2"', 'W/"2", "2"', '*'].map((tags) => [tags, 200]),
      ...['"1"', '"1", "3"', 'W/"2"', '""', '"02"', '"1,2"'].map((tags) => [tags, 412]),
      ...['2', '"2', '"2""2"', '"2",', '*, "2"', 'w/"2"', ''].map((tags) => [tags, 422]),
    ] as [string, number][]) {
      const { id } = await create();
      const held = (await put(id, { ...JANE, name: 'Jane Roe' })).json();
      const changed = await put(id, { ...JANE, name: 'Jane Poe' }, { 'if-match': tags });
      expect([tags, changed.statusCode]).toEqual([tags, status]);
      const isChanged = status === 200;
      const { name, version } = (await get(`${PATH}/${id}`)).json();
      expect([tags, name, version]).toEqual([
        ...[tags, isChanged ? 'Jane Poe' : held.name, isChanged ? 3 : 2],
      ]);
      if (status === 412) expect(changed.json().detail).toBe('The customer has version 2.');
      const next = isChanged ? tags.replaceAll('2', '3') : tags;
      if (isChanged) expect((await remove(id, { 'if-match': '"2"' })).statusCode).toBe(412);
      expect((await remove(id, { 'if-match': next })).statusCode).toBe(isChanged ? 204 : status);
      expect((await get(`${PATH}/${id}`)).statusCode).toBe(isChanged ? 404 : 200);
      if (!isChanged) await remove(id);
    }
  });
});
