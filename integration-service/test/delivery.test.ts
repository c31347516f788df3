import { HttpResponse, http } from 'msw';
import { describe, expect, it } from 'vitest';
import {
  ALICE,
  BOB,
  crmLists,
  INVENTORY_URL,
  inventoryTakes,
  mockNetwork,
  packageRequest,
  type ServiceTestOptions,
  setUpService,
} from './support.ts';

const network = mockNetwork();

/** A service that has polled and delivers what it found until the test ends. */
async function start(options: ServiceTestOptions = {}) {
  const service = await setUpService(options);
  await service.poller.runCycle();
  void service.dispatcher.run();
  return service;
}

const reasonsOf = async (service: Awaited<ReturnType<typeof start>>, id = ALICE.id) =>
  ((await service.ledger.get('welcome-package', id))?.history ?? []).map(
    ({ what, attempt, reason }) => [what, attempt, reason],
  );

describe('a new customer', () => {
  it('gets one package request, with an idempotency key of its own, and is delivered', async () => {
    const requests: [string | null, string][] = [];
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, async ({ request }) => {
        requests.push([request.headers.get('idempotency-key'), await request.text()]);
        return HttpResponse.json(packageRequest(ALICE.id, 'request-1'), { status: 201 });
      }),
      http.get(INVENTORY_URL, () => HttpResponse.json([])),
    );
    const service = await start();
    await service.untilDone();
    await service.poller.runCycle();
    expect(requests).toEqual([
      [
        `"welcome-package/${ALICE.id}"`,
        `{"customer_id":"${ALICE.id}","package_type":"welcome_package"}`,
      ],
    ]);
    expect(await service.keysOf('delivered')).toEqual([ALICE.id]);
    expect(await reasonsOf(service)).toEqual([
      ['ingested', null, null],
      ['delivered', 1, 'request-1'],
    ]);
    expect(service.messages()).toContain(
      `Successfully created package request for customer ID: ${ALICE.id}`,
    );
    expect(await service.metric('deliveries{flow="welcome-package",status="delivered"}')).toBe(1);
    expect(
      await service.metric('delivery_attempts_total{flow="welcome-package",outcome="delivered"}'),
    ).toBe(1);
    expect(await service.metric('delivery_latency_seconds_count{flow="welcome-package"}')).toBe(1);
    expect(await service.metric('oldest_undelivered_age_seconds{flow="welcome-package"}')).toBe(0);
  });

  it('is one of many: each gets one, within the concurrency', async () => {
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
        if (underWay === 4) full.resolve();
        await full.promise;
        const { customer_id } = await request.json();
        asked.push(customer_id);
        underWay -= 1;
        return HttpResponse.json(packageRequest(customer_id), { status: 201 });
      }),
      http.get(INVENTORY_URL, () => HttpResponse.json([])),
    );
    const { untilDone } = await start({ concurrency: 4 });
    await untilDone();
    expect(most).toBe(4);
    expect(asked.sort()).toEqual(customers.map(({ id }) => id).sort());
  });
});

describe('a package request without effect', () => {
  it.each([
    ['503 Service Unavailable', () => new HttpResponse(null, { status: 503 })],
    ['425 Too Early: slow down', () => new HttpResponse('slow down', { status: 425 })],
  ])('is tried again, and holds up nobody else: %s', async (reason, fail) => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.post(INVENTORY_URL, fail, { once: true }),
      ...inventoryTakes(asked),
    );
    const service = await start({ concurrency: 1 });
    await service.untilDone();
    expect(asked.sort()).toEqual([BOB.id, ALICE.id]);
    expect(await reasonsOf(service)).toEqual([
      ['ingested', null, null],
      ['transient', 1, reason],
      ['delivered', 2, `request-of-${ALICE.id}`],
    ]);
    expect(service.messages('error')).toEqual([
      `Failed to create package request for customer ID ${ALICE.id}: ${reason}`,
    ]);
  });

  it('waits as long as Retry-After says', async () => {
    const asked: string[] = [];
    const headers = { 'retry-after': '120' };
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => new HttpResponse(null, { status: 429, headers }), {
        once: true,
      }),
      ...inventoryTakes(asked),
    );
    const service = await start();
    await service.until(async () => (await reasonsOf(service)).length === 2);
    service.advance(119_000);
    expect(asked).toEqual([]);
    expect(
      await service.ledger.claim('welcome-package', {
        order: 'lane',
        limit: 1,
        now: Date.now() + 119_000,
      }),
    ).toEqual([]);
    service.advance(1_500);
    await service.untilDone();
    expect(asked).toEqual([ALICE.id]);
  });

  it('is given up after MAX_ATTEMPTS, with its reason, and the others go on', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
        const { customer_id } = await request.clone().json();
        if (customer_id === ALICE.id) return new HttpResponse('no', { status: 503 });
      }),
      ...inventoryTakes(asked),
    );
    const service = await start({ maxAttempts: 3 });
    await service.untilDone();
    expect(await service.keysOf('dead')).toEqual([ALICE.id]);
    expect(asked).toEqual([BOB.id]);
    expect((await service.ledger.get('welcome-package', ALICE.id))?.delivery).toMatchObject({
      attempts: 3,
      last_error: '503 Service Unavailable: no',
      next_attempt_at: null,
    });
    expect(service.messages('error').at(-1)).toBe(
      `Giving up on welcome-package/${ALICE.id} after 3 attempt(s): 503 Service Unavailable: no. It is sent again when it is replayed.`,
    );
  });
});

describe('a customer whom the inventory refuses', () => {
  it('costs one attempt, is dead with the reason, and not asked for again by later polls', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.post(INVENTORY_URL, () => HttpResponse.json({ detail: 'no' }, { status: 422 }), {
        once: true,
      }),
      ...inventoryTakes(asked),
    );
    const service = await start({ concurrency: 1 });
    await service.untilDone();
    await service.poller.runCycle();
    await service.untilDone();
    expect(asked).toEqual([BOB.id]);
    expect((await service.ledger.list({ status: 'dead' }, 9))[0]).toMatchObject({
      key: ALICE.id,
      attempts: 1,
      last_error: '422 Unprocessable Entity: {"detail":"no"}',
    });
  });
});

describe('an inventory that refuses access', () => {
  it('is left alone but for a probe; costs no attempt; and all goes on when it does', async () => {
    const asked: string[] = [];
    let isOpen = false;
    let knocks = 0;
    network.use(
      crmLists([ALICE, BOB, { id: 'c' }]),
      http.post(INVENTORY_URL, () => {
        if (isOpen) return;
        knocks += 1;
        return new HttpResponse('who are you?', { status: 401 });
      }),
      ...inventoryTakes(asked),
    );
    const service = await start({ concurrency: 2 });
    await service.until(() => service.breaker.state() === 'open');
    await service.until(async () => (await service.keysOf('sending')).length === 0);
    expect(knocks).toBe(2);
    expect(service.messages('error')).toContain(
      'The inventory refuses access: 401 Unauthorized: who are you?. Check the user name and password in its URL. Nothing is sent until it accepts them.',
    );
    expect(await service.metric('breaker_state{flow="welcome-package",target="inventory"}')).toBe(
      2,
    );
    service.advance(2_000);
    await service.until(() => knocks === 3);
    await service.until(async () => (await service.keysOf('sending')).length === 0);
    expect(
      (await service.ledger.list({}, 9)).map(({ status, attempts }) => [status, attempts]),
    ).toEqual([
      ['pending', 0],
      ['pending', 0],
      ['pending', 0],
    ]);
    isOpen = true;
    service.advance(4_000);
    await service.untilDone();
    expect(asked).toHaveLength(3);
    expect(service.messages('info')).toContain('The inventory answers again.');
    expect(await service.metric('breaker_state{flow="welcome-package",target="inventory"}')).toBe(
      0,
    );
  });
});

describe('an attempt of unknown outcome', () => {
  const lost = [
    ['an error after storing', () => HttpResponse.json({ detail: 'oops' }, { status: 500 })],
    ['a bad gateway', () => new HttpResponse(null, { status: 502 })],
    ['a broken connection', () => HttpResponse.error()],
    ['a sign-in page with 200', () => HttpResponse.html('<h1>Sign in</h1>')],
    ['another customer', () => HttpResponse.json(packageRequest(BOB.id), { status: 201 })],
    ['nothing but 204', () => new HttpResponse(null, { status: 204 })],
    ['an echo', () => HttpResponse.json({ customer_id: ALICE.id }, { status: 200 })],
    ['a redirect', () => new HttpResponse(null, { status: 303, headers: { location: '/x' } })],
  ] as const;

  it.each(lost)('is delivered when the inventory turns out to have it: %s', async (_, answer) => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE]),
      http.post<never, { customer_id: string }>(
        INVENTORY_URL,
        async ({ request }) => {
          asked.push((await request.json()).customer_id);
          return answer();
        },
        { once: true },
      ),
      ...inventoryTakes(asked),
    );
    const service = await start();
    await service.until(async () => (await service.keysOf('unknown')).length === 1);
    service.advance(500);
    await service.untilDone();
    expect(asked).toEqual([ALICE.id]);
    expect((await reasonsOf(service)).map(([what]) => what)).toEqual([
      'ingested',
      'unknown',
      'found',
    ]);
    expect((await reasonsOf(service)).at(-1)).toEqual(['found', 1, `request-of-${ALICE.id}`]);
    expect(await service.metric('settle_total{flow="welcome-package",verdict="found"}')).toBe(1);
  });

  it.each(lost)(
    'is sent again, with the same key, when it does not have it: %s',
    async (_, answer) => {
      const asked: string[] = [];
      const keys: (string | null)[] = [];
      network.use(
        crmLists([ALICE]),
        http.post(
          INVENTORY_URL,
          ({ request }) => {
            keys.push(request.headers.get('idempotency-key'));
            return answer();
          },
          { once: true },
        ),
        http.post(INVENTORY_URL, ({ request }) => {
          keys.push(request.headers.get('idempotency-key'));
        }),
        ...inventoryTakes(asked),
      );
      const service = await start();
      for (const [reads, ms] of [500, 2_000, 8_000].entries()) {
        await service.until(async () => (await reasonsOf(service)).length === 2 + reads);
        expect(asked).toEqual([]);
        service.advance(ms);
      }
      await service.untilDone();
      expect(asked).toEqual([ALICE.id]);
      expect(keys).toEqual([`"welcome-package/${ALICE.id}"`, `"welcome-package/${ALICE.id}"`]);
      expect((await reasonsOf(service)).map(([what]) => what)).toEqual([
        'ingested',
        'unknown',
        'not_found',
        'not_found',
        'not_found',
        'delivered',
      ]);
    },
  );

  it('is found by the last read also when the inventory understands the filter otherwise', async () => {
    const queries: string[] = [];
    network.use(
      crmLists([ALICE]),
      http.post(INVENTORY_URL, () => new HttpResponse(null, { status: 500 })),
      http.get(INVENTORY_URL, ({ request }) => {
        const { search } = new URL(request.url);
        queries.push(search);
        const stored = queries.length === 1 || search !== '' ? [] : [packageRequest(ALICE.id)];
        return HttpResponse.json(stored);
      }),
    );
    const service = await start();
    for (const [reads, ms] of [500, 2_000, 8_000].entries()) {
      await service.until(async () => (await reasonsOf(service)).length === 2 + reads);
      service.advance(ms);
    }
    await service.untilDone();
    const filter = `?customer_id=${ALICE.id}`;
    expect(queries).toEqual(['', filter, filter, '']);
    expect(await service.keysOf('delivered')).toEqual([ALICE.id]);
  });

  it('is settled with all others of its round by one read, which may list anything', async () => {
    let reads = 0;
    const customers = Array.from({ length: 10 }, (_, i) => ({ id: `customer-${i}` }));
    network.use(
      crmLists(customers),
      http.post(INVENTORY_URL, () => new HttpResponse(null, { status: 502 })),
      http.get(INVENTORY_URL, () => {
        reads += 1;
        if (reads === 1) return HttpResponse.json([]);
        const birthday = { ...packageRequest('customer-9'), package_type: 'birthday' };
        const others = [null, 7, {}, { customer_id: 7 }, birthday, packageRequest('stranger')];
        const ours = customers.slice(0, 9).map(({ id }) => packageRequest(id));
        return HttpResponse.json([...others, ...ours, ...ours]);
      }),
    );
    const service = await start();
    await service.until(async () => (await service.keysOf('unknown')).length === 10);
    service.advance(2_500);
    await service.until(async () => (await service.keysOf('delivered')).length === 9);
    expect(reads).toBe(2);
    expect(await service.keysOf('unknown')).toEqual(['customer-9']);
  });

  it('stays unknown for as long as the inventory cannot be read', async () => {
    const asked: string[] = [];
    let isDown = false;
    network.use(
      crmLists([ALICE]),
      http.post(
        INVENTORY_URL,
        () => {
          isDown = true;
          return new HttpResponse(null, { status: 504 });
        },
        { once: true },
      ),
      http.get(INVENTORY_URL, () => {
        if (isDown) return HttpResponse.html('<h1>Sorry</h1>');
      }),
      ...inventoryTakes(asked),
    );
    const service = await start();
    const failedReads = () =>
      service.metric('settle_total{flow="welcome-package",verdict="unreadable"}');
    await service.until(async () => (await service.keysOf('unknown')).length === 1);
    for (let reads = 1; reads <= 4; reads++) {
      service.advance(1_000);
      await service.until(async () => (await failedReads()) === reads);
    }
    expect(await service.keysOf('unknown')).toEqual([ALICE.id]);
    const broken = expect.stringContaining(
      'expected a JSON array of package requests, but got broken JSON',
    );
    expect((await reasonsOf(service)).slice(2)).toEqual([['not_read', 1, broken]]);
    expect(asked).toEqual([]);
    isDown = false;
    while ((await service.keysOf('delivered')).length === 0) {
      service.advance(2_000);
      await new Promise(setImmediate);
    }
    expect(asked).toEqual([ALICE.id]);
  });
});

it('an inventory whose list is of something else is sent nothing twice', async () => {
  let sent = 0;
  network.use(
    crmLists([ALICE]),
    http.get(INVENTORY_URL, () =>
      HttpResponse.json(Array.from({ length: sent }, () => ({ customerId: ALICE.id }))),
    ),
    http.post(INVENTORY_URL, () => {
      sent += 1;
      return HttpResponse.json({ customerId: ALICE.id }, { status: 201 });
    }),
  );
  const service = await start();
  await service.until(async () => (await service.keysOf('unknown')).length === 1);
  for (let reads = 1; reads <= 4; reads++) {
    service.advance(30_000);
    await service.until(
      async () =>
        (await service.metric('settle_total{flow="welcome-package",verdict="unreadable"}')) >=
        reads,
    );
  }
  expect(sent).toBe(1);
  expect((await reasonsOf(service)).at(-1)).toEqual([
    'not_read',
    1,
    'it lists nothing with a customer_id, but records with customerId',
  ]);
});

it('an inventory that stores what it is sent and never says so is sent more when that is found', async () => {
  const stored: unknown[] = [];
  network.use(
    crmLists(Array.from({ length: 20 }, (_, i) => ({ id: `customer-${i}` }))),
    http.get(INVENTORY_URL, () => HttpResponse.json(stored)),
    http.post<never, { customer_id: string }>(INVENTORY_URL, async ({ request }) => {
      stored.push(packageRequest((await request.json()).customer_id));
      return new HttpResponse(null, { status: 500 });
    }),
  );
  const service = await start({ concurrency: 5 });
  await service.until(() => service.breaker.state() === 'open');
  await service.until(async () => (await service.keysOf('sending')).length === 0);
  const atFirst = stored.length;
  service.advance(2_000);
  const aProbe = 1;
  await service.until(() => stored.length > atFirst + aProbe);
  expect(await service.keysOf('delivered')).toHaveLength(atFirst);
});

it('an inventory whose list cannot be read keeps nobody waiting but those who are unknown', async () => {
  const asked: string[] = [];
  let isBroken = false;
  let calls = 0;
  const customers = Array.from({ length: 6 }, (_, i) => ({ id: `customer-${i}` }));
  network.use(
    crmLists(customers),
    http.get(INVENTORY_URL, () => {
      calls += 1;
      if (isBroken) return new HttpResponse(null, { status: 500 });
    }),
    http.post(INVENTORY_URL, () => {
      calls += 1;
      if (!isBroken || asked.length > 0) return;
      return new HttpResponse(null, { status: 500 });
    }),
    ...inventoryTakes(asked),
  );
  const service = await setUpService();
  void service.dispatcher.run();
  await service.untilLogged('None of it is sent again');
  isBroken = true;
  await service.poller.runCycle();
  await service.until(() => service.breaker.state() === 'open');
  network.use(crmLists([...customers, { id: 'late' }]), ...inventoryTakes(asked).slice(0, 1));
  await service.poller.runCycle();
  while (!asked.includes('late')) {
    const callsBefore = calls;
    service.advance(30_000);
    await service.until(() => calls > callsBefore);
  }
  expect((await service.keysOf('unknown')).length).toBeGreaterThan(0);
});

describe('a new ledger', () => {
  it('asks the inventory what it holds before it sends anything, and sends none of that', async () => {
    const asked: string[] = [];
    network.use(
      crmLists([ALICE, BOB]),
      http.get(INVENTORY_URL, () => HttpResponse.json([packageRequest(ALICE.id.toUpperCase())])),
      ...inventoryTakes(asked),
    );
    const service = await start();
    await service.untilDone();
    expect(asked).toEqual([BOB.id]);
    expect(await reasonsOf(service)).toEqual([
      ['ingested', null, null],
      ['adopted', null, `request-of-${ALICE.id.toUpperCase()}`],
    ]);
    expect(service.messages('info')).toContain(
      `The inventory already holds 1 (${ALICE.id}). None of it is sent again.`,
    );
  });

  it('sends nothing while the inventory cannot be asked', async () => {
    const asked: string[] = [];
    let reads = 0;
    const readsBefore: number[] = [];
    network.use(
      crmLists([ALICE]),
      http.get(INVENTORY_URL, () => {
        reads += 1;
        if (reads < 3) return new HttpResponse(null, { status: 500 });
      }),
      http.post(INVENTORY_URL, () => void readsBefore.push(reads)),
      ...inventoryTakes(asked),
    );
    const service = await start();
    while (asked.length === 0) {
      service.advance(1_000);
      await new Promise(setImmediate);
    }
    expect(readsBefore).toEqual([3]);
  });
});
