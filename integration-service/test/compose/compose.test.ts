import { connect } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { createProject, execute } from './project.ts';

const SERVICES = ['crm-api', 'inventory-api', 'integration-service'];

const { compose, ports: published, set, createCustomers, packages } = await createProject();
const ports = { 8000: published.crm, 8001: published.inventory, 8002: published.service };

beforeAll(async () => {
  await compose('up', '--build', '--wait');
});

it('shows Swagger UI and the OpenAPI document of every service', async () => {
  for (const port of Object.values(ports)) {
    for (const path of ['/docs', '/docs/static/swagger-ui-bundle.js', '/openapi.json']) {
      expect((await fetch(`http://127.0.0.1:${port}${path}`)).status).toBe(200);
    }
  }
});

it('logs for people, in the words of the documents', async () => {
  await createCustomers(1);
  await expect.poll(packages, { timeout: 30_000 }).toHaveLength(1);
  const logs = stripVTControlCharacters(await compose('logs', '--no-color'));
  expect(logs).toMatch(
    /^integration-service-1 +\| \[[\d:.]+\] INFO: Integration service started\.$/m,
  );
  expect(logs).toMatch(
    /^crm-api-1 +\| \[[\d:.]+\] INFO: CRM_API: Added new customer: Jane \(.{36}\)$/m,
  );
  expect(logs).toMatch(
    /^inventory-api-1 +\| \[[\d:.]+\] INFO: INVENTORY_API: Created package request/m,
  );
});

it('runs the tests of the poller inside its container', async () => {
  const output = await compose('exec', '-T', 'integration-service', 'npm', 'test');
  expect(output).toMatch(/Tests .*\d+ passed/);
  expect(output).not.toMatch(/\d (failed|skipped)/);
}, 1_200_000);

it.each(SERVICES)('lets %s do no more than it needs', async (service) => {
  const id = (await compose('ps', '--quiet', service)).trim();
  const [container] = JSON.parse((await execute('docker', ['inspect', id])).stdout);
  expect(container.Config.User).toBe('node');
  expect(container.HostConfig).toMatchObject({
    Init: true,
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges:true'],
  });
  expect(container.HostConfig.Memory).toBeGreaterThan(0);
  expect(container.HostConfig.Tmpfs).toHaveProperty('/tmp');
  const bindings = Object.values<{ HostIp: string }[]>(container.HostConfig.PortBindings).flat();
  expect(bindings.map(({ HostIp }) => HostIp)).toEqual(['127.0.0.1']);
  expect(container.State.Health.Status).toBe('healthy');
});

it('loses and doubles nothing when the poller is killed, and its ledger outlives its container', async () => {
  const before = (await packages()).length;
  await createCustomers(200);
  await compose('kill', '--signal', 'KILL', 'integration-service');
  await compose('rm', '--force', 'integration-service');
  await createCustomers(10);
  await compose('up', '--wait', 'integration-service');
  await expect.poll(async () => (await packages()).length, { timeout: 30_000 }).toBe(before + 210);
  await expect
    .poll(
      () => compose('exec', '-T', 'integration-service', 'npm', 'run', 'audit', '--', '--json'),
      {
        timeout: 30_000,
      },
    )
    .toContain('"in_flight":[]');
  expect(new Set(await packages()).size).toBe(before + 210);
  const logs = stripVTControlCharacters(await compose('logs', '--no-color', 'integration-service'));
  expect(logs).not.toContain('The ledger is new');
});

it('carries a customer of the shop to the CRM and on to the inventory, and tells it as one story', async () => {
  const url = `http://127.0.0.1:${ports[8002]}/api/customers`;
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 'Jane Doe', email: 'jane.doe@example.com' });
  const response = await fetch(url, { method: 'POST', headers, body });
  const { id } = (await response.json()) as { id: string };
  await expect.poll(packages).toContain(id);
  const explain = () =>
    compose(
      'exec',
      '-T',
      'integration-service',
      'npm',
      'run',
      '--silent',
      'explain',
      '--',
      '--last',
    );
  await expect.poll(explain).toMatch(/welcome-package .*delivered/);
  const told = await explain();
  expect(told.split('\n', 1)[0]).toBe(`${id}  Jane Doe`);
  expect(told).toMatch(/customer-sync .*create, version 1[\s\S]*customer-sync .*delivered/);
});

it('is nothing but the poller with FLOWS=welcome-package', async () => {
  const before = (await packages()).length;
  set({ FLOWS: 'welcome-package' });
  await compose('up', '--wait', 'integration-service');
  await createCustomers(1);
  await expect.poll(async () => (await packages()).length).toBe(before + 1);
  for (const path of ['/api/customers', '/api/customers/1', '/failed-requests']) {
    const response = await fetch(`http://127.0.0.1:${ports[8002]}${path}`);
    const detail = 'The flow customer-sync is off (FLOWS).';
    expect([response.status, await response.json()]).toEqual([404, { detail }]);
  }
  const logs = await compose('logs', '--no-color', '--no-log-prefix', 'integration-service');
  expect(logs.slice(logs.lastIndexOf('Integration service started.'))).not.toContain('Comparison');
});

it('stops every container with exit code 0 before Docker would kill it, also with clients connected', async () => {
  const clients = Object.values(ports).map((port) => {
    const client = connect(Number(port), '127.0.0.1').on('error', () => {});
    client.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
    return client;
  });
  await Promise.all(
    clients.map((client) => new Promise((resolve) => client.once('data', resolve))),
  );
  await compose('stop', '--timeout', '8');
  for (const service of SERVICES) {
    const id = (await compose('ps', '--all', '--quiet', service)).trim();
    const { stdout } = await execute('docker', ['inspect', '--format', '{{.State.ExitCode}}', id]);
    expect(stdout.trim()).toBe('0');
  }
  for (const client of clients) client.destroy();
});
