import { expect, it } from 'vitest';
import { type CrmAnswer, RECORDS, startCrm } from './crm.ts';
import { customerOf, setUpShop } from './set-up.ts';

/** A shop with three customers, of whom the CRM has all; the test says what it lists. */
async function setUp(options: Parameters<typeof setUpShop>[0] = {}) {
  const shop = await setUpShop({ isClockStill: true, ...options });
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.push((await shop.create(customerOf(i))).id);
  await shop.deliver();
  shop.advance(1_000);
  /** What the CRM lists. Asked for one customer, it has nobody, or answers `one`. */
  const list = (
    answer: (url: string) => CrmAnswer | 'cut' | undefined,
    one: CrmAnswer | undefined = { status: 404 },
  ) =>
    shop.crm.fail(({ method, url }) => {
      if (method !== 'GET') return undefined;
      return url.startsWith(`${RECORDS}/`) ? one : answer(url);
    });
  return { ...shop, ids, list };
}

const [A, B] = [{ version: 1 }, { version: 2 }];

it.each<[string, CrmAnswer | 'cut']>([
  ['500', { status: 500, body: '[]' }],
  ['404', { status: 404, body: '[]' }],
  ['401', { status: 401 }],
  ['429', { status: 429, headers: { 'retry-after': '1' } }],
  ['206', { status: 206, body: '[]' }],
  ['301', { status: 301, headers: { location: '/' } }],
  ['no JSON', { status: 200, body: '<html>' }],
  ['nothing', { status: 200, body: '' }],
  ['no list', { status: 200, body: { customers: [] } }],
  ['a list that is cut', { status: 200, body: '[{"id":"a"},{"id":' }],
  ['a connection that ends', 'cut'],
  ['a list without ids', { status: 200, body: [A, B, null, 7] }],
  ['a list of ids of another kind', { status: 200, body: [{ id: 1 }, { id: null }, { id: '' }] }],
  [
    'more pages than is clear',
    { status: 200, headers: { link: '<x>; rel="next", <y>; rel="next"' }, body: '[]' },
  ],
  ['an old copy', { status: 200, headers: { age: '60' }, body: '[]' }],
])('changes nothing when the CRM answers with %s, and reads it again', async (_, answer) => {
  const { list, compare, versions, messages, warnings, crm, advance, open } = await setUp();
  list(() => answer);
  await compare();
  expect(await versions()).toEqual(['1 delivered', '1 delivered', '1 delivered']);
  expect(messages('error')).toHaveLength(1);
  expect(messages('error')[0]).toMatch(/^Failed to read the customers of the CRM: ./);
  expect(warnings().filter((text) => text.startsWith('The CRM has'))).toEqual([]);
  expect(open.checkReadiness().ready).toBe(true);
  crm.fail();
  await crm.forget();
  advance(60_000);
  await compare();
  expect(await versions()).toEqual(['1 pending', '1 pending', '1 pending']);
});

it('tells those who ask for the readiness nothing of what the CRM answers', async () => {
  const { list, compare, open, messages } = await setUp();
  list(() => ({ status: 500, body: 'Jane Doe' }));
  await compare();
  expect(open.checkReadiness().degraded).toEqual([
    { part: 'crm', reason: expect.stringMatching(/ CRM failed: 500 Internal Server Error\.$/) },
  ]);
  expect(messages('error')[0]).toContain('Jane Doe');
});

it('takes an empty list for a CRM that has lost all', async () => {
  const { list, compare, versions } = await setUp();
  list(() => ({ status: 200, body: '[]' }));
  await compare();
  expect(await versions()).toEqual(['1 pending', '1 pending', '1 pending']);
});

it('sends nobody again who is missing in a list that lacks whom the CRM has', async () => {
  const { list, compare, versions, ids, warnings, crm, open, advance } = await setUp();
  const [first, second] = ids as [string, string];
  const cut = () => ({ status: 200, body: [{ id: first, version: 1 }] });
  list(cut, { status: 200, body: { id: second, version: 1 } });
  await compare();
  expect(await versions()).toEqual(['1 delivered', '1 delivered', '1 delivered']);
  expect(warnings().at(-1)).toMatch(
    /^The list of the CRM lacks a customer whom the CRM has \(.{36}\)/,
  );
  expect(crm.requests.filter(({ url }) => url.startsWith(`${RECORDS}/`)).at(-1)?.url).toContain(
    second,
  );
  // What is older in the list is sent all the same.
  list(() => ({ status: 200, body: [{ id: first, version: 0 }] }), {
    ...{ status: 200, body: { id: second, version: 1 } },
  });
  await compare();
  expect(await versions()).toEqual(['1 pending', '1 delivered', '1 delivered']);
  expect(open.checkReadiness().ready).toBe(true);
  list(cut, { status: 500 });
  await compare();
  expect(await versions()).toEqual(['1 pending', '1 delivered', '1 delivered']);
  crm.fail();
  await crm.forget();
  advance(60_000);
  await compare();
  expect((await versions()).slice(1)).toEqual(['1 pending', '1 pending']);
});

it('reads a list in pages, to its end, and changes nothing when one of them fails', async () => {
  const { list, compare, versions, ids, crm, ledger } = await setUp();
  const etagOf = (page: number) => ({ etag: `"${page}"` });
  const asked: string[] = [];
  let isFailing = true;
  list((url) => {
    asked.push(url);
    const page = Number(/page=(\d)/.exec(url)?.[1] ?? 1);
    if (page === 3 && isFailing) return { status: 500 };
    const headers =
      page < 3 ? { ...etagOf(page), link: `<?page=${page + 1}>; rel="next"` } : etagOf(page);
    // The second customer is lost.
    const shown = page === 2 ? [] : [{ id: ids[page - 1]?.toUpperCase(), version: 1 }];
    return { status: 200, headers, body: shown };
  });
  await compare();
  expect(await versions()).toEqual(['1 delivered', '1 delivered', '1 delivered']);
  isFailing = false;
  await compare();
  expect(await versions()).toEqual(['1 delivered', '1 pending', '1 delivered']);
  expect(asked.slice(-3)).toEqual(
    ['', '?page=2', '?page=3'].map((query) => `${crm.url.pathname}${query}`),
  );
  // What differs is looked at again, although the list does not change.
  const positionOf = async () =>
    (await ledger.readProgress({ flow: 'customer-sync', source: 'crm' })).position;
  expect(await positionOf()).toBeUndefined();
});

it('knows the pages of a list on which both agree', async () => {
  const { list, compare, ids, ledger } = await setUp();
  list((url) => {
    const page = Number(/page=(\d)/.exec(url)?.[1] ?? 1);
    const etag = `"${page}"`;
    const headers = { etag, ...(page < 3 && { link: `<?page=${page + 1}>; rel="next"` }) };
    return { status: 200, headers, body: [{ id: ids[page - 1], version: 1 }] };
  });
  await compare();
  const { position } = await ledger.readProgress({ flow: 'customer-sync', source: 'crm' });
  const pages = [{ etag: '"1"' }, { etag: '"2"' }, { etag: '"3"' }];
  expect(position).toMatchObject({ snapshot: { pages } });
});

it('reads the whole list each time where it has no ETag', async () => {
  const { list, compare, versions, ids, ledger } = await setUp();
  list(() => ({ status: 200, body: ids.map((id) => ({ id, version: 1 })) }));
  await compare();
  list(() => ({ status: 200, body: ids.slice(1).map((id) => ({ id, version: 1 })) }));
  await compare();
  expect(await versions()).toEqual(['1 pending', '1 delivered', '1 delivered']);
  // Nothing to ask with, not even an empty ETag.
  const { position } = await ledger.readProgress({ flow: 'customer-sync', source: 'crm' });
  expect(position).toBeUndefined();
});

it('leaves alone whom the CRM lists without a version, and takes the highest of several', async () => {
  const { list, compare, versions, ids } = await setUp();
  const [a, b, c] = ids;
  const body = [{ id: a }, { id: b, version: '0' }, { id: c, version: 0 }, { id: c, version: 1 }];
  list(() => ({ status: 200, body: [...body, { id: 'a stranger' }, 'odd'] }));
  await compare();
  expect(await versions()).toEqual(['1 delivered', '1 delivered', '1 delivered']);
});

it('reads the list whole again after the sweep interval, and after the URL was changed', async () => {
  const { compare, crm, advance } = await setUp({ settings: { SWEEP_INTERVAL_SECONDS: 60 } });
  const statuses: number[] = [];
  crm.fail(async (_, store) => {
    const answer = await store();
    statuses.push(answer.status);
    return answer;
  });
  advance(60_000);
  await compare();
  const whole = statuses.splice(0);
  advance(59_000);
  await compare();
  expect(new Set(statuses.splice(0))).toEqual(new Set([304]));
  advance(1_000);
  await compare();
  expect(statuses).toEqual(whole);
});

it('keeps nothing of the URL that can be a secret in the position, nor in the log', async () => {
  const crm = await startCrm();
  const url = new URL(`${crm.url.href}?key=canary-of-ours`);
  const shop = await setUp({ crm, settings: { CUSTOMER_SYNC_URL: url } });
  const { list, compare, ledger, ids, messages } = shop;
  list((path) => ({
    status: 200,
    headers: {
      etag: '"1"',
      ...(!path.includes('page') && { link: '<?key=canary-of-ours&page=2>; rel="next"' }),
    },
    body: path.includes('page') ? [] : ids.map((id) => ({ id, version: 1 })),
  }));
  await compare();
  const { position } = await ledger.readProgress({ flow: 'customer-sync', source: 'crm' });
  expect(position).toMatchObject({
    snapshot: { pages: [{}, { url: expect.stringContaining('page=2') }] },
  });
  expect(crm.requests.at(-1)?.url).toContain('canary-of-ours&page=2');
  list((path) => ({ status: 500, body: `refused: ${path}` }));
  await compare();
  expect(messages('error')).toHaveLength(1);
  expect(JSON.stringify([position, messages()])).not.toContain('canary-of-ours');
});
