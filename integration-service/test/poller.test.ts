import { HttpResponse, http } from 'msw';
import { describe, expect, it } from 'vitest';
import {
  ALICE,
  BOB,
  CRM_URL,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  setUpPoller,
} from './support.ts';

const network = mockNetwork();

describe('a polling cycle', () => {
  it('requests a package for each new customer and marks both as delivered', async () => {
    const bodies: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.post(INVENTORY_URL, async ({ request }) => {
        bodies.push(await request.text());
        return new HttpResponse(null, { status: 201 });
      }),
    );
    const { poller, delivered } = setUpPoller();

    await poller.runCycle();

    expect(bodies.sort()).toEqual([
      `{"customer_id":"${BOB.id}","package_type":"welcome_package"}`,
      `{"customer_id":"${ALICE.id}","package_type":"welcome_package"}`,
    ]);
    expect([...delivered].sort()).toEqual([BOB.id, ALICE.id]);
  });

  it('requests no package for a customer who is marked as delivered', async () => {
    const asked: string[] = [];
    network.use(crmLists([ALICE, BOB]), inventoryTakes(asked));
    const { poller, delivered } = setUpPoller({ delivered: [ALICE.id] });

    await poller.runCycle();

    expect(asked).toEqual([BOB.id]);
    expect(delivered.size).toBe(2);
  });

  it('says what it does, in the words of the original', async () => {
    network.use(crmLists([ALICE]), inventoryTakes([]));
    const { poller, messages } = setUpPoller();
    await poller.runCycle();
    await poller.runCycle();
    expect(messages('info')).toEqual([
      '--- Polling cycle started ---',
      'Attempting to fetch customers from CRM...',
      'Successfully fetched customers.',
      `Found new customer: Alice (ID: ${ALICE.id})`,
      `Creating package request for customer ID: ${ALICE.id}`,
      `Successfully created package request for customer ID: ${ALICE.id}`,
      '--- Polling cycle finished. Waiting for 10 seconds. ---',
      '--- Polling cycle started ---',
      'Attempting to fetch customers from CRM...',
      'Successfully fetched customers.',
      'No new customers found.',
      '--- Polling cycle finished. Waiting for 10 seconds. ---',
    ]);
  });

  it('sends one request for a customer who is listed twice, or gone and back again', async () => {
    const asked: string[] = [];
    network.use(inventoryTakes(asked));
    const { poller } = setUpPoller();
    for (const listed of [[ALICE, BOB, ALICE], [], [BOB], [BOB, ALICE]]) {
      network.use(crmLists(listed));
      await poller.runCycle();
    }
    expect(asked.sort()).toEqual([BOB.id, ALICE.id]);
  });

  it('takes every customer of a long list once, within the concurrency it is given', async () => {
    const concurrency = 4;
    const customers = Array.from({ length: 40 }, (_, i) => ({ id: `customer-${i}` }));
    const asked: string[] = [];
    let underWay = 0;
    let most = 0;
    const full = Promise.withResolvers<void>();
    network.use(
      crmLists(customers),
      http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
        underWay += 1;
        most = Math.max(most, underWay);
        if (underWay === concurrency) full.resolve();
        await full.promise;
        asked.push((await request.json()).customer_id);
        underWay -= 1;
        return new HttpResponse(null, { status: 201 });
      }),
    );
    await setUpPoller({ concurrency }).poller.runCycle();
    expect(most).toBe(concurrency);
    expect(asked.sort()).toEqual(customers.map(({ id }) => id).sort());
  });
});

describe('a customer whose package request fails', () => {
  it.each([
    [
      'an error',
      () => HttpResponse.json({ detail: 'no' }, { status: 500 }),
      '500 Internal Server Error: {"detail":"no"}',
    ],
    [
      'a refusal',
      () => HttpResponse.json({ detail: 'no' }, { status: 422 }),
      '422 Unprocessable Entity: {"detail":"no"}',
    ],
    [
      'an answer without a body',
      () => new HttpResponse(null, { status: 503 }),
      '503 Service Unavailable',
    ],
    [
      'a redirect',
      () => new HttpResponse(null, { status: 307, headers: { location: 'http://else.test/' } }),
      '307 Temporary Redirect to http://else.test/, and redirects are not followed',
    ],
  ])('is tried again next cycle, and holds up nobody else: %s', async (_, fail, reason) => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.post(INVENTORY_URL, fail, { once: true }),
      inventoryTakes(asked),
    );
    const { poller, delivered, messages } = setUpPoller({ concurrency: 1 });

    await poller.runCycle();
    expect(asked).toEqual([BOB.id]);
    expect([...delivered]).toEqual([BOB.id]);
    expect(messages('error')).toEqual([
      `Failed to create package request for customer ID ${ALICE.id}: ${reason}`,
    ]);

    await poller.runCycle();
    expect(asked).toEqual([BOB.id, ALICE.id]);
    expect(delivered.size).toBe(2);
  });

  it('is tried again after the connection broke', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => HttpResponse.error(), { once: true }),
      inventoryTakes(asked),
    );
    const { poller, delivered, messages } = setUpPoller();
    await poller.runCycle();
    expect(delivered.size).toBe(0);
    expect(messages('error')[0]).toMatch(/^Failed to create package request for customer ID .*: ./);
    await poller.runCycle();
    expect(asked).toEqual([ALICE.id]);
  });

  it.each([200, 201, 202, 204])('has not failed when the answer is %i', async (status) => {
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => new HttpResponse(null, { status })),
    );
    const { poller, delivered } = setUpPoller();
    await poller.runCycle();
    expect([...delivered]).toEqual([ALICE.id]);
  });
});

describe('a poll that fails', () => {
  it('is attempted again, as often as MAX_RETRIES says', async () => {
    const asked: string[] = [];
    let polls = 0;
    network.use(
      http.get(CRM_URL, () => {
        polls += 1;
        return polls < 3 ? new HttpResponse('down', { status: 503 }) : HttpResponse.json([ALICE]);
      }),
      inventoryTakes(asked),
    );
    const { poller, messages } = setUpPoller({ maxRetries: 3 });
    await poller.runCycle();
    expect(messages('error')).toEqual([
      'Failed to fetch customers (Attempt 1/3): 503 Service Unavailable: down',
      'Failed to fetch customers (Attempt 2/3): 503 Service Unavailable: down',
    ]);
    expect(asked).toEqual([ALICE.id]);
  });

  it('ends the cycle when all attempts fail, and the next cycle finds what was missed', async () => {
    const asked: string[] = [];
    let polls = 0;
    network.use(
      inventoryTakes(asked),
      http.get(CRM_URL, () => {
        polls += 1;
        return HttpResponse.error();
      }),
    );
    const { poller, messages } = setUpPoller({ maxRetries: 2 });
    await poller.runCycle();
    expect(polls).toBe(2);
    expect(messages('error')).toHaveLength(2);
    expect(messages('warn')).toEqual(['Skipping processing cycle due to CRM API fetch failure.']);
    expect(messages().at(-1)).toBe('--- Polling cycle finished. Waiting for 10 seconds. ---');
    expect(asked).toEqual([]);

    network.use(crmLists([ALICE]));
    await poller.runCycle();
    expect(asked).toEqual([ALICE.id]);
  });

  it.each([
    ['HTML', '<!doctype html><h1>Sign in</h1>', 'broken JSON (text/html): <!doctype html>'],
    ['truncated JSON', '[{"id":"a"},{"id":', 'broken JSON (text/html): [{"id":"a"},{"id":'],
    ['nothing', '', 'an empty body'],
    ['null', 'null', 'null: null'],
    ['an object', '{"customers":[{"id":"a"}]}', 'a JSON object: {"customers":[{"id":"a"}]}'],
    ['a string', '"[]"', 'a JSON string: "[]"'],
    ['a number', '7', 'a JSON number: 7'],
    [
      'invalid UTF-8',
      Buffer.from('[{"id":"a\xff"}]', 'latin1'),
      'invalid UTF-8 (text/html): [{"id":"a',
    ],
  ])('says what came in place of a list and changes nothing: %s', async (_, body, what) => {
    const asked: string[] = [];
    network.use(
      inventoryTakes(asked),
      http.get(CRM_URL, () => new HttpResponse(body, { headers: { 'content-type': 'text/html' } })),
    );
    const { poller, messages, delivered } = setUpPoller({ maxRetries: 1, delivered: [ALICE.id] });
    await poller.runCycle();
    expect(messages('error')).toHaveLength(1);
    expect(messages('error')[0]).toContain(
      `Failed to fetch customers (Attempt 1/1): expected a JSON array of customers, but got ${what}`,
    );
    expect(asked).toEqual([]);
    expect([...delivered]).toEqual([ALICE.id]);

    network.use(crmLists([ALICE, BOB]));
    await poller.runCycle();
    expect(asked).toEqual([BOB.id]);
  });

  it('shows no more than the begin of a long body, on one line', async () => {
    network.use(http.get(CRM_URL, () => new HttpResponse(`a\nb\r\n${'c'.repeat(10_000)}`)));
    const { poller, messages } = setUpPoller({ maxRetries: 1 });
    await poller.runCycle();
    expect(messages('error')[0]).toMatch(/: a b c{116}…$/);
  });

  it.each([301, 304, 401, 404, 500])('is one with the status %i', async (status) => {
    const asked: string[] = [];
    const body = status === 304 ? null : JSON.stringify([ALICE]);
    network.use(
      inventoryTakes(asked),
      http.get(CRM_URL, () => new HttpResponse(body, { status })),
    );
    const { poller, messages } = setUpPoller({ maxRetries: 1 });
    await poller.runCycle();
    expect(messages('error')[0]).toContain(`(Attempt 1/1): ${status} `);
    expect(asked).toEqual([]);
  });
});

describe('the list of customers', () => {
  it.each(['text/plain', 'text/html; charset=latin1', 'application/octet-stream'])(
    'may come as %s, and with a byte order mark',
    async (contentType) => {
      const asked: string[] = [];
      const body = `\ufeff${JSON.stringify([ALICE])}`;
      network.use(
        inventoryTakes(asked),
        http.get(
          CRM_URL,
          () => new HttpResponse(body, { headers: { 'content-type': contentType } }),
        ),
      );
      await setUpPoller().poller.runCycle();
      expect(asked).toEqual([ALICE.id]);
    },
  );

  it.each([200, 203, 206])('may come with the status %i', async (status) => {
    const asked: string[] = [];
    network.use(
      inventoryTakes(asked),
      http.get(CRM_URL, () => HttpResponse.json([ALICE], { status })),
    );
    await setUpPoller().poller.runCycle();
    expect(asked).toEqual([ALICE.id]);
  });

  it('may have records without a usable id, which are skipped with a warning', async () => {
    const asked: string[] = [];
    const odd = [
      null,
      7,
      'text',
      [],
      {},
      { id: '' },
      { id: null },
      { id: 7 },
      { id: ['a'] },
      {},
      {},
    ];
    network.use(crmLists([ALICE, ...odd, BOB]), inventoryTakes(asked));
    const { poller, messages } = setUpPoller();
    await poller.runCycle();
    expect(asked.sort()).toEqual([BOB.id, ALICE.id]);
    expect(messages('warn')).toEqual([
      'Skipping 11 customer record(s) without a usable id, at position 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, … of the list.',
    ]);
  });

  it('may have customers of whom nothing but the id is known', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([{ id: 'a' }, { id: 'b', name: null }, { id: 'c', name: 7 }]),
      inventoryTakes(asked),
    );
    const { poller, messages } = setUpPoller({ concurrency: 1 });
    await poller.runCycle();
    expect(asked).toEqual(['a', 'b', 'c']);
    expect(messages()).toContain('Found new customer: unnamed (ID: a)');
  });

  it('is taken as ids of any form, and in the code points of the CRM', async () => {
    const asked: string[] = [];
    const ids = [
      '42',
      '__proto__',
      'constructor',
      ' a ',
      'ü🎁',
      '9007199254740993',
      'x'.repeat(5_000),
    ];
    network.use(crmLists(ids.map((id) => ({ id }))), inventoryTakes(asked));
    await setUpPoller({ concurrency: 1 }).poller.runCycle();
    expect(asked).toEqual(ids);
  });
});
