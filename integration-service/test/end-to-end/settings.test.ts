import { once } from 'node:events';
import { expect, it } from 'vitest';
import { startHttpServer } from '../support.ts';
import { startService } from './processes.ts';

const customers = JSON.stringify(Array.from({ length: 12 }, (_, i) => ({ id: `${i}` })));

it('DELIVERY_CONCURRENCY bounds the package requests under way, over as many connections', async () => {
  const ports = new Set<number | undefined>();
  const full = Promise.withResolvers<void>();
  let underWay = 0;
  let most = 0;
  const url = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end(customers);
    ports.add(request.socket.remotePort);
    underWay += 1;
    most = Math.max(most, underWay);
    if (underWay === 3) full.resolve();
    await full.promise;
    underWay -= 1;
    response.writeHead(201).end();
  });
  const service = await startService('integration-service', {
    CRM_API_URL: url,
    INVENTORY_API_URL: url,
    DELIVERY_CONCURRENCY: '3',
  });
  await service.until(/Successfully created package request/, 12);
  expect(most).toBe(3);
  expect(ports.size).toBeLessThanOrEqual(3);
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
  const url = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end('[{"id":"a"},{"id":"b"}]');
    await once(request, 'data');
    asked.resolve();
    await stopping.promise;
    response.writeHead(201).end();
  });
  const service = await startService('integration-service', {
    CRM_API_URL: url,
    INVENTORY_API_URL: url,
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
