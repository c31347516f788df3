import { HttpResponse, http } from 'msw';
import { describe, expect, it } from 'vitest';
import { ALICE, BOB, CRM_URL, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();

describe('a polling cycle', () => {
  it('writes each new customer down as a delivery, with the id as the CRM writes it', async () => {
    const upper = 'C3E8E5A6-3D7C-4C6C-8F3E-4D4B1A1B1A1A';
    network.use(crmLists([{ ...ALICE, id: upper }, BOB]));
    const { poller, ledger } = await setUpService();
    await poller.runCycle();
    const [alice, bob] = await ledger.list({}, 9);
    expect(alice).toMatchObject({
      flow: 'welcome-package',
      key: ALICE.id,
      lane: ALICE.id,
      status: 'pending',
      payload: `{"customer_id":"${upper}","package_type":"welcome_package"}`,
    });
    expect(bob).toMatchObject({ key: BOB.id, status: 'pending' });
  });

  it('says what it does, in the words of the original', async () => {
    network.use(crmLists([ALICE]));
    const { poller, messages } = await setUpService();
    await poller.runCycle();
    await poller.runCycle();
    expect(messages('info')).toEqual([
      '--- Polling cycle started ---',
      'Attempting to fetch customers from CRM...',
      'Successfully fetched customers.',
      `Found new customer: Alice (ID: ${ALICE.id})`,
      '--- Polling cycle finished. Waiting for 10 seconds. ---',
      '--- Polling cycle started ---',
      'Attempting to fetch customers from CRM...',
      'Successfully fetched customers.',
      'No new customers found.',
      '--- Polling cycle finished. Waiting for 10 seconds. ---',
    ]);
  });

  it('makes one delivery of a customer who is listed twice, in two forms, or gone and back', async () => {
    const { poller, keysOf } = await setUpService();
    const again = { ...ALICE, id: ALICE.id.toUpperCase() };
    for (const listed of [[ALICE, BOB, ALICE, again], [], [BOB], [again, BOB]]) {
      network.use(crmLists(listed));
      await poller.runCycle();
    }
    expect(await keysOf('pending')).toEqual([ALICE.id, BOB.id]);
  });

  it('holds all of a poll that brings more than SURGE_LIMIT, and says so until released', async () => {
    network.use(crmLists([ALICE, BOB]));
    const { poller, ledger, keysOf, messages, metric } = await setUpService({ surgeLimit: 1 });
    await poller.runCycle();
    await poller.runCycle();
    expect(await keysOf('held')).toEqual([ALICE.id, BOB.id]);
    const reminder = `Holding 2 customers back (${ALICE.id}, ${BOB.id}): more than SURGE_LIMIT (1) new ones came at once. Release them with POST /deliveries/release.`;
    expect(messages('warn')).toEqual([reminder, reminder]);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="held"}'),
    ).toBe(2);
    await ledger.release({}, 0);
    await poller.runCycle();
    expect(messages('warn')).toHaveLength(2);
  });
});

describe('a poll that fails', () => {
  it('is attempted again, as often as MAX_RETRIES says', async () => {
    let polls = 0;
    network.use(
      http.get(CRM_URL, () => {
        polls += 1;
        return polls < 3 ? new HttpResponse('down', { status: 503 }) : HttpResponse.json([ALICE]);
      }),
    );
    const { poller, messages, keysOf } = await setUpService({ maxRetries: 3 });
    await poller.runCycle();
    expect(messages('error')).toEqual([
      'Failed to fetch customers (Attempt 1/3): 503 Service Unavailable: down',
      'Failed to fetch customers (Attempt 2/3): 503 Service Unavailable: down',
    ]);
    expect(await keysOf('pending')).toEqual([ALICE.id]);
  });

  it('ends the cycle when all attempts fail, and the next cycle finds what was missed', async () => {
    let polls = 0;
    network.use(
      http.get(CRM_URL, () => {
        polls += 1;
        return HttpResponse.error();
      }),
    );
    const { poller, messages, keysOf } = await setUpService({ maxRetries: 2 });
    await poller.runCycle();
    expect(polls).toBe(2);
    expect(messages('error')).toHaveLength(2);
    expect(messages('warn')).toEqual(['Skipping processing cycle due to CRM API fetch failure.']);
    expect(messages().at(-1)).toBe('--- Polling cycle finished. Waiting for 10 seconds. ---');
    expect(await keysOf('pending')).toEqual([]);

    network.use(crmLists([ALICE]));
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual([ALICE.id]);
  });

  it.each([
    ['HTML', '<!doctype html><h1>Sign in</h1>', 'broken JSON (text/html): <!doctype html>'],
    ['truncated JSON', '[{"id":"a"},{"id":', 'broken JSON (text/html)'],
    ['nothing', '', 'an empty body'],
    ['null', 'null', 'null: null'],
    ['an object', '{"customers":[{"id":"a"}]}', 'a JSON object with customers'],
    ['a string', '"[]"', 'a JSON string: "[]"'],
    ['a number', '7', 'a JSON number: 7'],
    ['invalid UTF-8', Buffer.from('[{"id":"a\xff"}]', 'latin1'), 'invalid UTF-8 (text/html)'],
  ])('says what came in place of a list and changes nothing: %s', async (_, body, what) => {
    network.use(
      http.get(CRM_URL, () => new HttpResponse(body, { headers: { 'content-type': 'text/html' } })),
    );
    const { poller, messages, keysOf } = await setUpService({ maxRetries: 1 });
    await poller.runCycle();
    expect(messages('error')).toHaveLength(1);
    expect(messages('error')[0]).toContain(
      `Failed to fetch customers (Attempt 1/1): expected a JSON array of customers, but got ${what}`,
    );
    expect(await keysOf('pending')).toEqual([]);

    network.use(crmLists([ALICE, BOB]));
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual([ALICE.id, BOB.id]);
  });

  it('shows no more than the begin of a long body, on one line', async () => {
    network.use(http.get(CRM_URL, () => new HttpResponse(`a\nb\r\n${'c'.repeat(10_000)}`)));
    const { poller, messages } = await setUpService({ maxRetries: 1 });
    await poller.runCycle();
    expect(messages('error')[0]).toMatch(/: a b c{116}…$/);
  });

  it.each([401, 403])('is not attempted again when the CRM refuses access: %i', async (status) => {
    let polls = 0;
    network.use(
      http.get(CRM_URL, () => {
        polls += 1;
        return new HttpResponse(null, { status });
      }),
    );
    const { poller, messages } = await setUpService();
    await poller.runCycle();
    await poller.runCycle();
    expect(polls).toBe(2);
    const hint = 'Check the user name and password in CRM_API_URL.';
    expect(messages('error')[0]).toMatch(new RegExp(`Attempt 1/3\\): ${status} .*\\. ${hint}$`));
    expect(messages().filter((line) => line.includes('finished'))).toEqual([
      '--- Polling cycle finished. Waiting for 20 seconds. ---',
      '--- Polling cycle finished. Waiting for 40 seconds. ---',
    ]);
    network.use(crmLists([]));
    await poller.runCycle();
    expect(messages().at(-1)).toBe('--- Polling cycle finished. Waiting for 10 seconds. ---');
  });

  it.each([301, 304, 404, 500])('is one with the status %i', async (status) => {
    const body = status === 304 ? null : JSON.stringify([ALICE]);
    network.use(http.get(CRM_URL, () => new HttpResponse(body, { status })));
    const { poller, messages, keysOf } = await setUpService({ maxRetries: 1 });
    await poller.runCycle();
    expect(messages('error')[0]).toContain(`(Attempt 1/1): ${status} `);
    expect(await keysOf('pending')).toEqual([]);
  });
});

describe('the list of customers', () => {
  it.each(['text/plain', 'text/html; charset=latin1', 'application/octet-stream'])(
    'may come as %s, and with a byte order mark',
    async (contentType) => {
      const body = `\ufeff${JSON.stringify([ALICE])}`;
      network.use(
        http.get(
          CRM_URL,
          () => new HttpResponse(body, { headers: { 'content-type': contentType } }),
        ),
      );
      const { poller, keysOf } = await setUpService();
      await poller.runCycle();
      expect(await keysOf('pending')).toEqual([ALICE.id]);
    },
  );

  it('may have records that cannot be used: each is named once, with the reason, and the others go on', async () => {
    const odd = [null, 7, 'text', [], {}, { id: '' }, { id: null }, { id: 7 }, { id: 'a\0' }];
    const lone = '[{"id":"\\ud800"}]';
    const long = { id: 'x'.repeat(1_025), note: 'y'.repeat(500) };
    network.use(crmLists([ALICE, ...odd, JSON.parse(lone)[0], long, {}, BOB]));
    const { poller, messages, keysOf, metric } = await setUpService();
    await poller.runCycle();
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual([ALICE.id, BOB.id]);
    expect(messages('warn')).toEqual([
      'Skipping a record: position 1: it is no object.',
      'Skipping a record: position 2: it is no object.',
      'Skipping a record: position 3: it is no object.',
      'Skipping a record: position 4: it is no object.',
      'Skipping a record: position 5: it has no id.',
      'Skipping a record: position 6: it has no id.',
      'Skipping a record: position 7: it has no id.',
      'Skipping a record: position 8, id 7: its id is not a string.',
      'Skipping a record: position 9, id a\0: its id has characters that cannot be stored.',
      'Skipping a record: position 10, id \ufffd: its id has characters that cannot be stored.',
      'Skipping 1 more such record(s).',
    ]);
    // seen = new + known + invalid + held
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="new"}'),
    ).toBe(2);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="known"}'),
    ).toBe(2);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="invalid"}'),
    ).toBe(24);
  });

  it('may have customers of whom nothing but the id is known', async () => {
    network.use(crmLists([{ id: 'a' }, { id: 'b', name: null }, { id: 'c', name: 7 }]));
    const { poller, messages, keysOf } = await setUpService();
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual(['a', 'b', 'c']);
    expect(messages()).toContain('Found new customer: unnamed (ID: a)');
  });

  it('is taken as ids of any form, and in the code points of the CRM', async () => {
    const ids = [
      '42',
      '__proto__',
      'constructor',
      ' a ',
      'ü🎁',
      '9007199254740993',
      'x'.repeat(1_024),
    ];
    network.use(crmLists(ids.map((id) => ({ id }))));
    const { poller, keysOf } = await setUpService();
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual(ids);
  });
});
