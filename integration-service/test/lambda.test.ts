import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ending, eventOf, failures, message, setUpLambda, startInventory } from './sqs.ts';
import { setUpService, startHttpServer } from './support.ts';

const ID = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';

describe('the function of an SQS queue', () => {
  it('requests a package as the poller does, under the same key', async () => {
    const { inventory, handle } = await setUpLambda();
    const crmUrl = await startHttpServer((_, response) =>
      response.end(JSON.stringify([{ id: ID.toUpperCase(), name: 'Alice' }])),
    );
    const service = await setUpService({ crmUrl, inventoryUrl: inventory.url });
    void service.poller.run();
    void service.dispatcher.run();
    await service.until(async () => (await service.keysOf('delivered')).length === 1);

    expect(await handle(eventOf(message('1', ID.toUpperCase())))).toEqual(failures());
    expect(inventory.calls).toHaveLength(2);
    expect(inventory.calls[1]).toEqual(inventory.calls[0]);
    expect(inventory.calls[1]?.key).toBe(`"welcome-package/${ID}"`);
  });

  it('does nothing about a customer who was changed or removed', async () => {
    const { inventory, handle } = await setUpLambda();
    const event = eventOf(
      message('1', 'a', { type: 'UPDATE' }),
      message('2', 'b', { type: 'DELETE' }),
    );
    expect(await handle(event)).toEqual(failures());
    expect(inventory.calls).toEqual([]);
  });

  it('reports what is no event, with the reason, and delivers the others', async () => {
    const { inventory, handle, messages } = await setUpLambda();
    const event = eventOf(
      message('1', 'a'),
      message('2', 'b', { body: 'hello' }),
      message('3', 'c', { body: '{"event_type": "MOVE"}' }),
      message('4', ''),
      message('5', 'e'),
    );
    expect(await handle(event)).toEqual(failures('2', '3', '4'));
    expect(inventory.packages()).toEqual(['a', 'e']);
    expect(messages('error')).toEqual([
      'Message 2 failed: it is no event of a customer: it is not JSON',
      'Message 3 failed: it is no event of a customer: its event_type is none of CREATE, UPDATE and DELETE',
      'Message 4 failed: it is no event of a customer: its customer cannot be used: it has no id',
    ]);
  });

  it.each<[string, (response: ServerResponse) => unknown, string]>([
    ['a refusal', (response) => response.writeHead(422).end('no'), 'permanent: 422'],
    ['an inventory that is down', (response) => response.writeHead(503).end(), 'transient: 503'],
    ['an unclear answer', (response) => response.writeHead(500).end(), 'unknown: 500'],
    ['another answer', (response) => response.writeHead(201).end('{}'), 'unknown: not the answer'],
    ['wrong credentials', (response) => response.writeHead(401).end(), 'unauthorized: 401'],
    ['a lost connection', (response) => response.destroy(), 'unknown: '],
  ])(
    'reports %s, and sends it again under the same key when SQS brings it again',
    async (_, answer, reason) => {
      const { inventory, handle, messages } = await setUpLambda();
      inventory.answers.set('b', answer);
      const event = eventOf(message('1', 'a'), message('2', 'b'), message('3', 'c'));
      expect(await handle(event)).toEqual(failures('2'));
      expect(messages('error')).toContainEqual(
        expect.stringContaining(`Message 2 failed: ${reason}`),
      );
      expect(inventory.packages()).toEqual(['a', 'c']);

      expect(await handle(eventOf(message('2', 'b')))).toEqual(failures('2'));
      inventory.answers.clear();
      expect(await handle(eventOf(message('2', 'b')))).toEqual(failures());
      const keys = inventory.calls
        .filter(({ customerId }) => customerId === 'b')
        .map(({ key }) => key);
      expect(keys).toEqual(Array(3).fill('"welcome-package/b"'));
    },
  );

  it('keeps the order of a FIFO group: after a failure nothing of it is sent, and of others all', async () => {
    const { inventory, handle } = await setUpLambda();
    inventory.answers.set('a2', (response) => response.writeHead(503).end());
    const event = eventOf(
      message('1', 'a1', { group: 'A' }),
      message('2', 'b1', { group: 'B' }),
      message('3', 'a2', { group: 'A' }),
      message('4', 'a3', { group: 'A' }),
      message('5', 'b2', { group: 'B' }),
      message('6', 'a4', { group: 'A', type: 'UPDATE' }),
    );
    expect(await handle(event)).toEqual(failures('3', '4', '6'));
    const ofGroup = (group: string) => inventory.asked().filter((id) => id.startsWith(group));
    expect(ofGroup('a')).toEqual(['a1', 'a2']);
    expect(ofGroup('b')).toEqual(['b1', 'b2']);
  });

  it('sends one request for a customer who comes twice, and both messages share its end', async () => {
    const { inventory, handle } = await setUpLambda();
    inventory.answers.set('bad', (response) => response.writeHead(500).end());
    const event = eventOf(
      message('1', ID),
      message('2', 'bad'),
      message('3', ID.toUpperCase()),
      message('4', 'bad'),
    );
    expect(await handle(event)).toEqual(failures('2', '4'));
    expect(inventory.asked().sort()).toEqual(['bad', ID]);
  });

  it('begins nothing when its time is over', async () => {
    const { inventory, handle } = await setUpLambda();
    const event = eventOf(message('1', 'a'), message('2', 'b', { type: 'UPDATE' }));
    expect(await handle(event, ending(2_000))).toEqual(failures('1'));
    expect(inventory.calls).toEqual([]);
  });

  it('answers before its time is over, also when the inventory does not', async () => {
    const { inventory, handle, messages } = await setUpLambda({ REQUEST_TIMEOUT_SECONDS: '600' });
    inventory.answers.set('b', () => {});
    const event = eventOf(
      message('1', 'a'),
      message('2', 'b', { group: 'B' }),
      message('3', 'c', { group: 'B' }),
    );
    expect(await handle(event, ending(3_000))).toEqual(failures('2', '3'));
    expect(inventory.asked().sort()).toEqual(['a', 'b']);
    expect(messages('error')).toContain('Message 2 failed: the time of this invocation is over');
  });

  it('leaves no connection behind: it may be dead when the function is thawed', async () => {
    const sockets: Socket[] = [];
    const { handle } = await setUpLambda({
      INVENTORY_API_URL: await startHttpServer((request, response) => {
        request.socket.setKeepAlive(true);
        sockets.push(request.socket);
        response.setHeader('keep-alive', 'timeout=600');
        response.writeHead(422).end();
      }),
    });
    await handle(eventOf(message('1', 'a')));
    await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')));
    expect(sockets).toHaveLength(1);
  });
});

describe('the entry point', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });

  it('names everything that is wrong with the environment, until it is mended', async () => {
    const { url, packages } = await startInventory();
    vi.stubEnv('LOG_LEVEL', 'silent');
    vi.stubEnv('DELIVERY_CONCURRENCY', '0');
    const { handler } = await import('../src/welcome-package/lambda.ts');
    const event = eventOf(message('1', 'a'));
    await expect(handler(event)).rejects.toMatchObject({
      problems: [
        'INVENTORY_API_URL must be set to where packages are requested',
        'DELIVERY_CONCURRENCY must be a whole number from 1 to 1000, but is "0"',
      ],
    });
    vi.stubEnv('INVENTORY_API_URL', url);
    vi.stubEnv('DELIVERY_CONCURRENCY', '');
    expect(await handler(event)).toEqual(failures());
    expect(packages()).toEqual(['a']);
  });
});
