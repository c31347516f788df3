import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { startCrm } from './crm.ts';
import { customerOf, JANE, PATH, setUpShop } from './set-up.ts';

/** A shop with two customers, of whom the CRM has both. */
async function setUp(options: Parameters<typeof setUpShop>[0] = {}) {
  const shop = await setUpShop({ isClockStill: true, ...options });
  const [jane, joe] = [await shop.create(), await shop.create(customerOf(1))];
  await shop.deliver();
  // Later than the deliveries.
  shop.advance(1_000);
  return { ...shop, jane, joe };
}

describe.each(LEDGER_KINDS)('the comparison with the CRM, with a ledger in %s,', (kind) => {
  const setUpIn = async () => setUp({ ledger: await newLocation(kind) });

  it('sends again whom the CRM has lost', async () => {
    const { crm, compare, deliver, warnings, jane, joe, versions, ledger } = await setUpIn();
    await crm.forget();
    await compare();
    expect(warnings()).toEqual([
      'The CRM has lost 2 customer(s), or their latest versions: sending them again.',
    ]);
    expect(await versions()).toEqual(['1 pending', '1 pending']);
    await deliver();
    expect((await crm.customers()).map(({ id }) => id)).toEqual([jane.id, joe.id]);
    const { history = [] } = (await ledger.get('customer-sync', `${jane.id}:1`)) ?? {};
    expect(history.map(({ what, reason }) => (what === 'repaired' ? reason : what))).toEqual([
      ...['ingested', 'delivered', 'the CRM does not have it', 'delivered'],
    ]);
  });

  it('sends the latest version again, of whom the CRM has an older one', async () => {
    const { crm, compare, deliver, warnings, put, jane, advance } = await setUpIn();
    await put(jane.id, { ...JANE, name: 'Jane Roe' });
    await deliver();
    await crm.forget();
    const [old] = [{ name: 'Jane Doe', email: 'jane.doe@example.com', version: 1 }];
    await crm.edit('PUT', jane.id, old);
    advance(1_000);
    await compare();
    expect(warnings()).toEqual([
      'The CRM has lost 2 customer(s), or their latest versions: sending them again.',
    ]);
    await deliver();
    expect(await crm.customers()).toMatchObject([
      ...[{ id: jane.id, version: 2, name: 'Jane Roe' }, { version: 1 }],
    ]);
    expect(crm.writes().slice(3).sort()).toEqual(['PUT 1', 'PUT 2']);
  });

  it('gives up whom the CRM has at a later version, and says so once', async () => {
    const { crm, compare, deliver, warnings, put, jane, versions, ledger, advance } =
      await setUpIn();
    await crm.edit('PUT', jane.id, { name: 'Jane 9', email: 'jane@example.com', version: 9 });
    await compare();
    advance(10_000);
    await crm.edit('PUT', jane.id, { name: 'Jane 9', email: 'jane@example.com', phone: '1' });
    await compare();
    expect(warnings()).toEqual([
      expect.stringMatching(
        `^The CRM has later versions than the shop of 1 customer\\(s\\) \\(${jane.id}:1\\): they are dead letters\\. npm run audit`,
      ),
    ]);
    expect(await versions()).toEqual(['1 dead', '1 delivered']);
    const { delivery } = (await ledger.get('customer-sync', `${jane.id}:1`)) ?? {};
    expect(delivery?.last_error).toBe('the CRM has version 9');
    // The next change is refused, and says why.
    await put(jane.id, { ...JANE, name: 'Jane Roe' });
    await deliver();
    expect(await versions()).toEqual(['1 superseded', '1 delivered', '2 dead']);
    expect(await crm.customers()).toMatchObject([{ name: 'Jane 9' }, {}]);
  });

  it('deletes again who was deleted here, above the version of the CRM', async () => {
    const { crm, compare, deliver, warnings, remove, jane, versions, advance } = await setUpIn();
    await remove(jane.id);
    await deliver();
    await crm.forget();
    await crm.edit('PUT', jane.id, { ...customerOf(7), version: 7 });
    advance(1_000);
    await compare();
    expect(warnings()).toEqual([
      'The CRM has lost 1 customer(s), or their latest versions: sending them again.',
      'The CRM has 1 deleted customer(s): deleting them again.',
    ]);
    await deliver();
    expect((await crm.customers()).map(({ id }) => id)).not.toContain(jane.id);
    expect(crm.writes().slice(3)).toEqual(expect.arrayContaining(['DELETE 8']));
    expect(await versions()).toContain('8 delivered');
    advance(1_000);
    await compare();
    expect(warnings()).toHaveLength(2);
  });

  it('leaves alone what is under way, held or dead', async () => {
    const {
      crm,
      compare,
      ledger,
      create,
      dispatcher,
      messages,
      remove,
      versions,
      advance,
      put,
      jane,
    } = await setUpIn();
    await dispatcher.stop();
    await put(jane.id, { ...JANE, name: 'Pending' });
    const others = [];
    for (let i = 2; i < 6; i++) others.push(await create(customerOf(i)));
    await remove(others[3]?.id as string);
    const claims = await ledger.claim('customer-sync', {
      ...{ limit: 9, now: Date.now() + 2_000, order: 'lane' },
    });
    const statuses = ['pending', 'unknown', 'held', 'dead', 'pending'] as const;
    await ledger.commit(
      claims.map((claim, i) => ({
        claim,
        transition: {
          ...{ status: statuses[i] ?? 'pending', attempts: 1, reads: 0, lastError: 'no' },
          nextAttemptAt: statuses[i] === 'held' || statuses[i] === 'dead' ? null : 0,
        },
      })),
      Date.now(),
    );
    // The CRM still has the one that was deleted here, whose delete is pending.
    await crm.edit('PUT', others[3]?.id as string, { ...customerOf(5), version: 1 });
    const before = await versions();
    expect(before.map((each) => each.split(' ')[1])).toEqual([
      ...['delivered', 'delivered', 'pending', 'unknown', 'held', 'dead', 'superseded', 'pending'],
    ]);
    advance(60_000);
    await compare();
    expect(await versions()).toEqual(before);
    expect(messages()).toContain('No new differences found.');
  });
});

it('leaves alone what was delivered after the list was asked for', async () => {
  const crm = await startCrm();
  const shop = await setUp({ crm });
  const { create, deliver, compare, warnings, versions, remove, joe, put, jane } = shop;
  // The answer is from before three changes that are delivered while it is on its way.
  crm.fail(async ({ method, url }, store) => {
    if (method !== 'GET' || !url.endsWith('customers')) return undefined;
    const answer = await store();
    crm.fail();
    await create(customerOf(2));
    await put(jane.id, { ...JANE, name: 'Jane Roe' });
    await remove(joe.id);
    await deliver();
    return answer;
  });
  await compare();
  expect(warnings()).toEqual([]);
  expect((await versions()).every((each) => each.endsWith('delivered'))).toBe(true);
  expect(crm.writes()).toHaveLength(5);
});

it('never touches customers that the shop does not know, nor asks while it has never had one', async () => {
  const shop = await setUpShop({ isClockStill: true });
  const { crm, compare, create, deliver, advance, warnings, messages, remove } = shop;
  const stranger = '123e4567-e89b-42d3-a456-426614174000';
  await crm.edit('PUT', stranger, customerOf(9));
  await compare();
  await compare();
  expect(crm.requests).toEqual([]);
  const told = 'The shop has no customers yet: it takes none over from the CRM.';
  expect(messages().filter((message) => message === told)).toHaveLength(1);
  const { id } = await create();
  await deliver();
  advance(1_000);
  await compare();
  expect((await crm.customers()).map((each) => each.id)).toEqual([stranger, id]);
  await remove(id);
  await deliver();
  advance(1_000);
  await compare();
  expect(await crm.customers()).toMatchObject([{ id: stranger, ...customerOf(9) }]);
  expect(warnings()).toEqual([]);
});

it('asks with the ETag of the list, and does nothing while the CRM answers 304', async () => {
  const { crm, compare, ledger, advance } = await setUp();
  // No change was stamped just before the list is asked for.
  advance(60_000);
  await compare();
  crm.requests.splice(0);
  const statuses: number[] = [];
  crm.fail(async (_, store) => {
    const answer = await store();
    statuses.push(answer.status);
    return answer;
  });
  await compare();
  // The list, and what is behind its end.
  expect(crm.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
    `GET ${crm.url.pathname}`,
    expect.stringMatching(`^GET ${crm.url.pathname}\\?`),
  ]);
  await compare();
  expect(statuses).toEqual([304, 304, 304, 304]);
  const { position } = await ledger.readProgress({ flow: 'customer-sync', source: 'crm' });
  expect(JSON.stringify(position)).not.toContain(crm.url.pathname);
});

/** The CRM has an earlier list again, with its ETag. */
function showAsBefore({ crm }: Pick<Awaited<ReturnType<typeof setUp>>, 'crm'>): void {
  crm.fail(({ headers }) => {
    const etag = headers['if-none-match'];
    return etag ? { status: 304, headers: { etag } } : undefined;
  });
}

it('reads a list again that it knows, once the shop has changed', async () => {
  const shop = await setUp();
  const { crm, compare, create, deliver, advance, versions, warnings } = shop;
  await compare();
  const { id } = await create(customerOf(2));
  await deliver();
  advance(1_000);
  await crm.edit('DELETE', id);
  showAsBefore(shop);
  await compare();
  expect(await versions()).toEqual(['1 delivered', '1 delivered', '1 pending']);
  expect(warnings()).toEqual([
    'The CRM has lost 1 customer(s), or their latest versions: sending them again.',
  ]);
});

it('looks again at a list that lacked what was on its way', async () => {
  const shop = await setUp();
  const { compare, create, deliver, advance, versions, crm } = shop;
  const { id } = await create(customerOf(2));
  advance(1_000);
  await compare();
  await deliver();
  advance(1_000);
  await crm.edit('DELETE', id);
  showAsBefore(shop);
  await compare();
  expect((await versions()).at(-1)).toBe('1 pending');
});

it('comes at once when the CRM is back after an outage, which it has forgotten all by', async () => {
  const { crm, open, put, jane, joe, advance, until, breaker, deliver, app, untilLogged } =
    await setUp();
  void open.pollers[0]?.run();
  await untilLogged('--- Comparison with the CRM finished');
  await crm.stop();
  await put(jane.id, { ...JANE, name: 'Jane Roe' });
  await until(() => breaker.state() === 'open');
  const ready = await app.inject('/readyz');
  expect([ready.statusCode, ready.json().degraded]).toEqual([
    ...[200, [{ part: 'CRM', reason: expect.stringMatching(/^The CRM fails: /) }]],
  ]);
  await crm.forget();
  await crm.start();
  advance(60_000);
  await untilLogged('The CRM has lost 1 customer(s)');
  await deliver();
  expect((await crm.customers()).map(({ id, version }) => [id, version])).toEqual([
    ...[
      [jane.id, 2],
      [joe.id, 1],
    ],
  ]);
  expect((await app.inject(`${PATH}/${jane.id}`)).statusCode).toBe(200);
});
