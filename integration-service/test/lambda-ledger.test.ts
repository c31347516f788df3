import { connect, type Socket } from 'node:net';
import pg from 'pg';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { LedgerLocation } from '../src/delivery/ledger/ledger.ts';
import type { Target } from '../src/delivery/target.ts';
import { WELCOME_PACKAGE, welcomePackageFor } from '../src/welcome-package/inventory-client.ts';
import { createLedgerCourier } from '../src/welcome-package/ledger-courier.ts';
import { createSqsHandler } from '../src/welcome-package/sqs-handler.ts';
import { LEDGER_KINDS, newLocation, open, queryPostgres } from './ledgers.ts';
import { ending, eventOf, failures, message, setUpLambda } from './sqs.ts';
import { captureLog, startTcpServer } from './support.ts';

async function setUp(env: NodeJS.ProcessEnv = {}) {
  const location = (await newLocation('postgres')) as LedgerLocation & { kind: 'postgres' };
  const lambda = await setUpLambda({ LEDGER_URL: location.url, ...env });
  const deliveryOf = async (customerId: string) => {
    const ledger = await open(location);
    return (await ledger.get(WELCOME_PACKAGE, customerId))?.delivery;
  };
  return { ...lambda, location, deliveryOf };
}

/** The same, with a database connection that the test can break. */
async function setUpWithCable() {
  const { location, deliveryOf } = await setUp();
  const direct = new URL(location.url);
  const sockets = new Set<Socket>();
  let state: 'whole' | 'cut' | 'held' = 'whole';
  const proxy = new URL(
    await startTcpServer((socket) => {
      if (state === 'cut') return socket.destroy();
      if (state === 'held') return;
      sockets.add(socket);
      const database = connect(Number(direct.port || 5432), direct.hostname);
      database.on('error', () => {});
      socket.pipe(database).pipe(socket);
      socket.on('close', () => database.destroy());
    }),
  );
  const url = new URL(direct);
  url.host = proxy.host;
  const cable = {
    cut() {
      state = 'cut';
      for (const socket of sockets) socket.destroy();
    },
    hold() {
      state = 'held';
    },
    mend() {
      state = 'whole';
    },
  };
  return { ...(await setUpLambda({ LEDGER_URL: url.href })), cable, deliveryOf };
}

it('reports all messages that ask for a package when the ledger cannot be used', async () => {
  const { inventory, handle, messages } = await setUpLambda({
    LEDGER_URL: 'postgres://nobody:nothing@127.0.0.1:1/nowhere',
  });
  const event = eventOf(
    message('1', 'a'),
    message('2', 'b'),
    message('3', 'c', { type: 'DELETE' }),
  );
  expect(await handle(event)).toEqual(failures('1', '2'));
  expect(inventory.calls).toEqual([]);
  expect(messages('error')).toContainEqual(
    expect.stringMatching(/^Message 1 failed: The ledger's database does not answer: /),
  );
});

it('reports what comes up after the ledger failed without waiting for it', async () => {
  const { log } = captureLog();
  const courier = createLedgerCourier({
    ledger: { kind: 'postgres', url: 'postgres://nobody:nothing@127.0.0.1:1/nowhere' },
    tables: { areUpToDate: false },
    inventory: { name: 'inventory' } as Target,
    deliveryConcurrency: 1,
    maxAttempts: 1,
    until: Number.POSITIVE_INFINITY,
    log,
    now: Date.now,
  });
  const reason = await courier.deliver({ id: 'a', name: 'A' });
  expect(reason).toMatch(/does not answer/);
  expect(await courier.deliver({ id: 'b', name: 'B' })).toBe(reason);
  await courier.close();
});

// Only PostgreSQL: a ledger file would not outlive the function.
const kinds = LEDGER_KINDS.filter((kind) => kind === 'postgres');

describe.each(kinds)('the function of an SQS queue with a ledger in %s', () => {
  it('delivers a batch, and sends nothing that is delivered when it comes again', async () => {
    const { inventory, handle, deliveryOf } = await setUp();
    const event = eventOf(message('1', 'a'), message('2', 'b'), message('3', 'b'));
    expect(await handle(event)).toEqual(failures());
    expect(inventory.calls.map(({ key }) => key).sort()).toEqual([
      ...['"welcome-package/a"', '"welcome-package/b"'],
    ]);
    expect(await handle(event)).toEqual(failures());
    expect(inventory.calls).toHaveLength(2);
    expect(await deliveryOf('b')).toMatchObject({ status: 'delivered', attempts: 1 });
  });

  it('writes the customers of a batch down together', async () => {
    const { handle } = await setUp();
    const query = vi.spyOn(pg.Client.prototype, 'query');
    onTestFinished(() => query.mockRestore());
    const ids = Array.from({ length: 10 }, (_, number) => `customer-${number}`);
    expect(await handle(eventOf(...ids.map((id) => message(id, id))))).toEqual(failures());
    const statements = query.mock.calls.map(([text]) =>
      String((text as { text?: string }).text ?? text),
    );
    expect(statements.filter((text) => text.includes('insert into deliveries'))).toHaveLength(1);
  });

  it('asks the inventory first when the ledger is new', async () => {
    const { inventory, handle, deliveryOf } = await setUp();
    inventory.store('a');
    expect(await handle(eventOf(message('1', 'a'), message('2', 'b')))).toEqual(failures());
    expect(inventory.asked()).toEqual(['b']);
    expect(await deliveryOf('a')).toMatchObject({ status: 'delivered', attempts: 0 });
  });

  it('finds out what became of an unclear answer before it calls a message failed', async () => {
    const { inventory, handle } = await setUp();
    inventory.answers.set('a', (response) => {
      inventory.store('a');
      response.writeHead(500).end();
    });
    expect(await handle(eventOf(message('1', 'a')))).toEqual(failures());
    expect(inventory.packages()).toEqual(['a']);
    expect(inventory.calls).toHaveLength(1);
  });

  it('keeps the order of a FIFO group: what comes after a failure is not even written down', async () => {
    const { inventory, handle, deliveryOf, messages } = await setUp();
    inventory.answers.set('a2', (response) => response.writeHead(422).end('no'));
    const event = eventOf(
      ...['a1', 'a2', 'a3', 'b1', 'b2'].map((id) => message(id, id, { group: id[0] as string })),
    );
    expect(await handle(event)).toEqual(failures('a2', 'a3'));
    expect(inventory.packages()).toEqual(['a1', 'b1', 'b2']);
    expect(inventory.asked().filter((id) => id.startsWith('a'))).toEqual(['a1', 'a2']);
    expect(await deliveryOf('a3')).toBeUndefined();
    expect(messages('error')).toContainEqual(
      expect.stringContaining('Message a2 failed: it is dead, until it is replayed: 422'),
    );
  });

  it('does not wait for what is tried again after its time, nor for what is held', async () => {
    const { inventory, handle, location, messages } = await setUp();
    inventory.answers.set('a', (response) =>
      response.writeHead(503, { 'retry-after': '3600' }).end(),
    );
    const ledger = await open(location);
    await ledger.sight(WELCOME_PACKAGE, [welcomePackageFor('b')], { now: 0, surgeLimit: 0 });
    const event = eventOf(message('1', 'a'), message('2', 'b'), message('3', 'c'));
    // Longer than a test may take.
    expect(await handle(event, ending(60_000))).toEqual(failures('1', '2'));
    expect(messages('error')).toContainEqual(
      expect.stringMatching(/^Message 1 failed: it is pending until 2\d{3}-.*Z: 503/),
    );
    expect(messages('error')).toContain('Message 2 failed: it is held, until it is released');
  });

  it('waits for what another function has in hand, and lets that hold up nobody else', async () => {
    const { inventory, handle, location, messages } = await setUp({ DELIVERY_CONCURRENCY: '1' });
    const ledger = await open(location);
    await ledger.setAdopted(WELCOME_PACKAGE, 0);
    const now = Date.now();
    await ledger.sight(WELCOME_PACKAGE, [welcomePackageFor('a')], { now });
    await ledger.claim(WELCOME_PACKAGE, { limit: 1, now });
    const event = eventOf(message('1', 'a'), message('2', 'b'));
    expect(await handle(event, ending(3_500))).toEqual(failures('1'));
    expect(messages('error')).toEqual(['Message 1 failed: the time of this invocation is over']);
    expect(inventory.asked()).toEqual(['b']);
  });

  it('leaves a call that outlives its time to be settled by the next invocation', async () => {
    const { inventory, handle, deliveryOf } = await setUp({ REQUEST_TIMEOUT_SECONDS: '600' });
    inventory.answers.set('a', () => inventory.store('a'));
    const event = eventOf(message('1', 'a'), message('2', 'b'));
    expect(await handle(event, ending(4_000))).toEqual(failures('1'));
    expect(await deliveryOf('a')).toMatchObject({ status: 'unknown', lease_expires_at: null });
    expect(await handle(event)).toEqual(failures());
    expect(inventory.packages()).toEqual(['a', 'b']);
    expect(inventory.calls).toHaveLength(2);
  });

  it('takes over what a killed function had in hand, whichever batch it was of', async () => {
    const { inventory, handle, location, deliveryOf } = await setUp();
    const ledger = await open(location);
    await ledger.setAdopted(WELCOME_PACKAGE, 0);
    const long = Date.now() - 60_000;
    const sightings = ['a', 'b'].map(welcomePackageFor);
    await ledger.sight(WELCOME_PACKAGE, sightings, { now: long });
    await ledger.claim(WELCOME_PACKAGE, { limit: 2, now: long });
    for (const id of ['a', 'b']) inventory.store(id);
    expect(await handle(eventOf(message('1', 'a')))).toEqual(failures());
    expect(inventory.calls).toEqual([]);
    expect(await deliveryOf('b')).toMatchObject({ status: 'delivered' });
  });

  it('shares the work with other functions: of those that have the same message, one sends', async () => {
    const { inventory, handle, config, log } = await setUp();
    const handles = [handle, ...[1, 2, 3].map(() => createSqsHandler(config, log))];
    const ids = Array.from({ length: 20 }, (_, number) => `customer-${number}`);
    const event = eventOf(...ids.map((id) => message(id, id)));
    const answers = await Promise.all(handles.map((each) => each(event)));
    expect(answers).toEqual(Array(4).fill(failures()));
    expect(inventory.asked().sort()).toEqual(ids.sort());
  });

  it('reports what was under way when the ledger broke, and goes on when it works again', async () => {
    const { inventory, handle, cable, deliveryOf } = await setUpWithCable();
    inventory.answers.set('a', (response) => {
      inventory.store('a');
      cable.cut();
      response.writeHead(500).end();
    });
    expect(await handle(eventOf(message('1', 'a')))).toEqual(failures('1'));
    expect(await deliveryOf('a')).toMatchObject({ status: 'sending' });
    cable.mend();
    inventory.answers.clear();
    expect(await handle(eventOf(message('2', 'b')))).toEqual(failures());
    expect(inventory.packages()).toEqual(['a', 'b']);
  });

  it('answers before its time is over, also when the ledger does not', async () => {
    const { inventory, handle, cable } = await setUpWithCable();
    cable.hold();
    expect(await handle(eventOf(message('1', 'a')), ending(2_500))).toEqual(failures('1'));
    expect(inventory.calls).toEqual([]);
  });

  it('makes the tables of a ledger that was replaced by a new one under its eyes', async () => {
    const { handle, inventory, location } = await setUp();
    expect(await handle(eventOf(message('1', 'a')))).toEqual(failures());
    await queryPostgres('drop schema public cascade; create schema public', location.url);
    expect(await handle(eventOf(message('1', 'a')))).toEqual(failures('1'));
    expect(await handle(eventOf(message('1', 'a'), message('2', 'b')))).toEqual(failures());
    expect(inventory.asked()).toEqual(['a', 'b']);
  });
});
