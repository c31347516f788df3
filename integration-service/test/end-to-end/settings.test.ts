import { once } from 'node:events';
import { expect, it } from 'vitest';
import { packageRequest, startHttpServer } from '../support.ts';
import { ROOT, run, startService } from './processes.ts';

const customers = JSON.stringify(Array.from({ length: 12 }, (_, i) => ({ id: `${i}` })));

it('DELIVERY_CONCURRENCY bounds the package requests under way, over hardly more connections', async () => {
  const ports = new Set<number | undefined>();
  const full = Promise.withResolvers<void>();
  let underWay = 0;
  let most = 0;
  const crmUrl = await startHttpServer((_request, response) => response.end(customers));
  const inventoryUrl = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end('[]');
    const { customer_id } = JSON.parse(String(await once(request, 'data')));
    ports.add(request.socket.remotePort);
    underWay += 1;
    most = Math.max(most, underWay);
    if (underWay === 3) full.resolve();
    await full.promise;
    underWay -= 1;
    response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
  });
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: inventoryUrl,
    DELIVERY_CONCURRENCY: '3',
  });
  await service.until(/Successfully created package request/, 12);
  expect(most).toBe(3);
  expect(ports.size).toBeLessThanOrEqual(4);
});

it('REQUEST_TIMEOUT_SECONDS, MAX_RETRIES and RETRY_DELAY_SECONDS shape a poll', async () => {
  const silent = await startHttpServer(() => {});
  const service = await startService('integration-service', {
    CRM_API_URL: silent,
    REQUEST_TIMEOUT_SECONDS: '0.1',
    MAX_RETRIES: '2',
    RETRY_DELAY_SECONDS: '0.01',
  });
  await service.until(/Attempt 2\/2\): no complete answer within 0\.1 s/);
  await service.until(/Skipping processing cycle/);
});

it('MAX_RESPONSE_MEGABYTES bounds the list', async () => {
  const url = await startHttpServer((_request, response) => response.end(customers));
  const service = await startService('integration-service', {
    CRM_API_URL: url,
    MAX_RESPONSE_MEGABYTES: '0.0001',
  });
  await service.until(/Attempt 1\/3\): the body is larger than 0\.0001 MB/);
});

it('a package request under way at SIGTERM is finished before the service ends', async () => {
  const asked = Promise.withResolvers<void>();
  const stopping = Promise.withResolvers<void>();
  const crmUrl = await startHttpServer((_request, response) =>
    response.end('[{"id":"a"},{"id":"b"}]'),
  );
  const inventoryUrl = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end('[]');
    const { customer_id } = JSON.parse(String(await once(request, 'data')));
    asked.resolve();
    await stopping.promise;
    response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
  });
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: inventoryUrl,
    DELIVERY_CONCURRENCY: '1',
  });
  await asked.promise;
  const ended = service.stop();
  await service.until(/Stopping: SIGTERM/);
  stopping.resolve();
  expect(await ended).toBe(0);
  expect(service.lines.filter((line) => line.includes('Successfully created'))).toHaveLength(1);
  expect(service.lines.join('\n')).not.toContain('Failed');
});

it('MAX_ATTEMPTS bounds the attempts, and a customer who is given up is visible', async () => {
  const crmUrl = await startHttpServer((_request, response) => response.end('[{"id":"a"}]'));
  const inventoryUrl = await startHttpServer((request, response) => {
    if (request.method === 'GET') response.end('[]');
    else response.writeHead(503).end('closed');
  });
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: inventoryUrl,
    MAX_ATTEMPTS: '2',
  });
  await service.until(/Giving up on welcome-package\/a after 2 attempt/);
  const dead = await (await fetch(`${service.url}/deliveries?status=dead`)).json();
  expect(dead).toMatchObject([
    { key: 'a', attempts: 2, last_error: '503 Service Unavailable: closed' },
  ]);
});

it('SURGE_LIMIT holds what a poll brings too much of; ADMIN_TOKEN lets its bearer release it', async () => {
  const crmUrl = await startHttpServer((_request, response) => response.end(customers));
  const inventoryUrl = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end('[]');
    const { customer_id } = JSON.parse(String(await once(request, 'data')));
    response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
  });
  const service = await startService('integration-service', {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: inventoryUrl,
    SURGE_LIMIT: '11',
    ADMIN_TOKEN: 'a-token-of-mine',
  });
  await service.until(/Holding 12 customers back/);
  const release = (headers: Record<string, string>) =>
    fetch(`${service.url}/deliveries/release`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: '{"all": true}',
    });
  expect((await release({})).status).toBe(401);
  const released = await release({ authorization: 'Bearer a-token-of-mine' });
  expect(await released.json()).toEqual({ released: 12 });
  await service.until(/Successfully created package request/, 12);
});

it('a name that is nearly one of ours is warned of, by the service and by the commands', async () => {
  const env = { ADMIN_TOKN: 'canary', LEDGER_ULR: 'sqlite:canary', CRM_PORT: '1' };
  const service = await startService('integration-service', env);
  await service.until(/"level":40.*ADMIN_TOKN is not known: did you mean ADMIN_TOKEN\?/);
  await service.until(/"level":40.*LEDGER_ULR is not known: did you mean LEDGER_URL\?/);
  expect(service.lines.join()).not.toMatch(/canary|CRM_PORT/);
  const command = run(
    process.execPath,
    ['src/commands/audit.ts'],
    env,
    `${ROOT}integration-service`,
  );
  await command.ended;
  expect(command.lines).toContain('LEDGER_ULR is not known: did you mean LEDGER_URL?');
});
