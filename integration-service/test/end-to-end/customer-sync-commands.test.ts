import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../ledgers.ts';
import { packageRequest, startHttpServer } from '../support.ts';
import { runScript, startService } from './processes.ts';

const JANE = { name: 'Jane Doe', email: 'jane.doe@example.com', phone: '+44 20 7946 0000' };

/** A shop, the real CRM, an inventory that may refuse, and the commands. */
async function setUp({ isRefused = false } = {}) {
  const crm = await startService('crm-api');
  const inventory: ReturnType<typeof packageRequest>[] = [];
  const inventoryUrl = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end(JSON.stringify(inventory));
    const { customer_id } = JSON.parse(String(await once(request, 'data')));
    if (isRefused) return response.writeHead(422).end('no such address');
    inventory.push(packageRequest(customer_id));
    response.writeHead(201).end(JSON.stringify(inventory.at(-1)));
  });
  const settings: NodeJS.ProcessEnv = {
    FLOWS: 'welcome-package,customer-sync',
    CRM_API_URL: `${crm.url}/customers`,
    CUSTOMER_SYNC_URL: `${crm.url}/api/crm/customers`,
    INVENTORY_API_URL: inventoryUrl,
    LEDGER_URL: `sqlite:${join(temporaryFolder(), 'ledger.sqlite')}`,
    POLLING_INTERVAL_SECONDS: '0.1',
  };
  const command = async (name: string, ...args: string[]) => {
    const child = runScript(name, args, settings);
    return { exitCode: await child.ended, lines: child.lines };
  };
  const service = await startService('integration-service', settings);
  const call = async (method: string, url: string, body?: object) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, {
      method,
      ...(body && { headers, body: JSON.stringify(body) }),
    });
    expect(response.status).toBeLessThan(300);
    const text = (await response.text()) || '{}';
    return JSON.parse(text) as Record<string, unknown> & { id: string };
  };
  const inShop = (method: string, id: string, body?: object) =>
    call(method, `${service.url}/api/customers${id && `/${id}`}`, body);
  const inCrm = (method: string, id: string, body?: object) =>
    call(method, `${crm.url}/api/crm/customers${id && `/${id}`}`, body);
  return { settings, command, service, inShop, inCrm, inventory };
}

/** The same lines, whenever it was. */
const withoutTimes = (lines: string[]) =>
  lines.map((line) => line.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME'));

/** A timeline flow by flow, without its times: two flows do not wait for each other. */
const flowByFlow = (lines: string[]) => {
  const flowOf = (line: string) => /^TIME {2}(\S+)/.exec(line)?.[1] ?? '';
  return withoutTimes(lines).toSorted((a, b) => flowOf(a).localeCompare(flowOf(b)));
};

const NO_DRIFT = [
  'missing          0  in the shop, not in the CRM',
  'different        0  in both, with other values in the CRM',
  'orphaned         0  in the CRM, not in the shop any more',
  'extra            0  in the CRM, never in the shop: no difference',
  'dead             0  given up, until replayed or repaired',
  'held             0  kept back, until released',
  'in_flight        0  on their way, or changed meanwhile',
];

describe('the commands, with the shop of customer-sync', () => {
  it('explain tells one timeline over all flows; audit finds what was edited by hand, and repairs it', async () => {
    const { command, service, inShop, inCrm, inventory } = await setUp();
    const { id } = await inShop('POST', '', JANE);
    await service.until(/Successfully created package request/);
    const timeline = [
      `${id}  Jane Doe`,
      'TIME  customer-sync    create, version 1  ingested',
      `TIME  customer-sync    create, version 1  delivered  attempt 1  201  ${id}`,
      'TIME  welcome-package                     ingested',
      `TIME  welcome-package                     delivered  attempt 1  201  ${inventory[0]?.request_id}`,
    ];
    const last = await command('explain', '--last');
    expect({ ...last, lines: flowByFlow(last.lines) }).toEqual({ exitCode: 0, lines: timeline });
    const times = last.lines.slice(1).map((line) => line.slice(0, 24));
    expect(times).toEqual(times.toSorted());
    const only = ['--flow', 'customer-sync'];
    expect(await command('audit', ...only)).toEqual({ exitCode: 0, lines: NO_DRIFT });
    const both = (await command('audit')).lines;
    expect(both.filter((line) => line.endsWith(':'))).toEqual([
      'welcome-package:',
      'customer-sync:',
    ]);

    const customer = await inCrm('GET', id);
    const name = `Jan\u0007${'e'.repeat(100)}`;
    await inCrm('PUT', id, { ...customer, version: undefined, name, phone: null });
    const { exitCode, lines } = await command('audit', ...only);
    expect(exitCode).toBe(1);
    expect(lines).toEqual([
      NO_DRIFT[0],
      'different        1  in both, with other values in the CRM',
      `  ${id}`,
      `    name: "Jane Doe", in the CRM "Jan\\u0007${'e'.repeat(50)}…`,
      '    phone: "+44 20 7946 0000", in the CRM nothing',
      ...NO_DRIFT.slice(2),
    ]);
    expect(JSON.parse((await command('audit', ...only, '--json')).lines.join())).toEqual({
      ...{ flow: 'customer-sync', drift: true },
      ...{ missing: [], orphaned: [], extra: [], dead: [], held: [], in_flight: [] },
      different: [
        {
          id,
          differences: [
            { field: 'name', expected: 'Jane Doe', found: name },
            { field: 'phone', expected: '+44 20 7946 0000', found: null },
          ],
        },
      ],
    });
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    expect(metrics).toContain('audit_drift{flow="customer-sync",kind="different"} 1');
    const repaired = await command('audit', ...only, '--repair');
    expect(repaired.lines.at(-1)).toBe('New versions: 1. A running service sends them.');
    await expect.poll(() => inCrm('GET', id)).toEqual({ ...customer, version: 2 });
    expect(await command('audit', ...only)).toEqual({ exitCode: 0, lines: NO_DRIFT });
  });

  it('explain names what replaced a delivery, also by another flow, and what is open', async () => {
    const { command, service, settings, inShop, inCrm } = await setUp({ isRefused: true });
    const { id } = await inShop('POST', '', JANE);
    await service.until(/Giving up on welcome-package/);
    await inCrm('PUT', id, { ...(await inCrm('GET', id)), version: 5 });
    await inShop('PUT', id, { ...JANE, name: 'Jane Roe' });
    await service.until(/Giving up on customer-sync/);
    const refused = '422 Unprocessable Entity: no such address';
    expect(flowByFlow((await command('explain', id)).lines)).toEqual([
      `${id}  Jane Roe`,
      `welcome-package/${id}: dead, 1 attempt(s), ${refused}`,
      `customer-sync/${id}:2: update, version 2, dead, 1 attempt(s), the CRM has version 5`,
      'TIME  customer-sync    create, version 1  ingested',
      `TIME  customer-sync    create, version 1  delivered  attempt 1  201  ${id}`,
      'TIME  customer-sync    update, version 2  ingested',
      'TIME  customer-sync    update, version 2  stale  attempt 1  412  the CRM has version 5',
      'TIME  welcome-package                     ingested',
      `TIME  welcome-package                     permanent  attempt 1  422  ${refused}`,
    ]);
    const repair = await command('audit', '--flow', 'customer-sync', '--repair');
    expect(repair.lines).toContain('dead             1  given up, until replayed or repaired');
    await expect.poll(() => inCrm('GET', id)).toMatchObject({ version: 6, name: 'Jane Roe' });
    await inShop('DELETE', id);
    await expect
      .poll(async () => (await command('explain', id)).lines.join('\n'))
      .toMatch(/delete, version 7 +delivered/);
    settings.FLOWS = 'welcome-package';
    const { lines } = await command('explain', '--last');
    // What is said of a person is gone, and so are the reasons.
    expect(lines[0]).toBe(id);
    const superseded = withoutTimes(lines).filter((line) => line.includes('superseded'));
    expect(superseded).toEqual([
      `TIME  customer-sync    ${id}:2  superseded  by ${id}:6`,
      `TIME  welcome-package  ${' '.repeat(id.length + 2)}  superseded  by customer-sync ${id}:7`,
    ]);
    settings.FLOWS = 'customer-sync,welcome-package';
    const named = withoutTimes((await command('explain', id)).lines);
    expect(named).toContain(
      'TIME  customer-sync    update, version 2  superseded  by update, version 6',
    );
    expect(
      named.some((line) => line.endsWith('superseded  by customer-sync delete, version 7')),
    ).toBe(true);
    // Neither the inventory nor the CRM has the customer; the package that was refused is no drift.
    expect((await command('audit')).exitCode).toBe(0);
  });

  it('explain takes an id or --last, audit a flow that is on', async () => {
    const { command, settings } = await setUp();
    expect(await command('explain', '--last')).toEqual({
      exitCode: 1,
      lines: ['The ledger does not know any customer yet.'],
    });
    for (const args of [[], ['an-id', '--last']]) {
      const { exitCode, lines } = await command('explain', ...args);
      expect([exitCode, lines[0]]).toEqual([2, 'One customer id is needed, or --last.']);
    }
    settings.npm_config_last = 'true';
    expect((await command('explain', 'an-id')).lines[0]).toMatch(/^npm took --last for itself/);
    settings.FLOWS = 'welcome-package';
    for (const flow of ['customer-sync', '']) {
      const { exitCode, lines } = await command('audit', '--flow', flow);
      expect(exitCode).toBe(2);
      expect(lines[0]).toBe(`There is no flow '${flow}'; switched on are: welcome-package.`);
      expect(lines.join('\n')).toContain('Usage: npm run audit -- ');
    }
  });
});
