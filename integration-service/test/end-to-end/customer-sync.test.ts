import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { toCrmCustomer } from '../../src/customer-sync/mapper.ts';
import { temporaryFolder } from '../ledgers.ts';
import { freePort, runScript, type ServiceName, startService } from './processes.ts';

/** `npm run test:deep` takes more of all. */
const {
  SYNC_CUSTOMERS = '60',
  SYNC_CHANGES = '240',
  SYNC_DELETES = '12',
  SYNC_KILLS = '4',
} = process.env;
const [CUSTOMERS, CHANGES, DELETES, KILLS] = [
  ...[SYNC_CUSTOMERS, SYNC_CHANGES, SYNC_DELETES, SYNC_KILLS].map(Number),
] as [number, number, number, number];
const WORKERS = 12;

type Shown = Parameters<typeof toCrmCustomer>[0];
/** What a customer was told to be, in each version, and by the last answer. */
interface Known {
  said: Set<string>;
  last?: Shown | 'deleted';
}

const pick = (count: number) => Math.floor(Math.random() * count);
let serial = 0;
/** A text that comes once in the whole run. */
const unique = (what: string) => `${what}-${(serial++).toString(36)}-q`;

/** E-mail addresses are few, so that customers take those of others, and of deleted ones. */
function randomInput(said: Set<string>) {
  const input = {
    name: unique('Name'),
    email: `${pick(4) === 0 ? unique('mail') : `pool-${pick(Math.ceil(CUSTOMERS * 1.5))}`}@example.com`,
    phone: pick(2) ? unique('phone') : null,
    address: pick(2) ? { street: unique('Street'), city: unique('City') } : null,
  };
  for (const text of [input.name, input.phone, input.address?.street, input.address?.city]) {
    if (text) said.add(text);
  }
  if (input.email.startsWith('mail')) said.add(input.email);
  return input;
}

it('brings the shop into the CRM, whatever is killed, and forgets whom it deletes', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'ledger.sqlite');
  const env: NodeJS.ProcessEnv = {
    CRM_API_PORT: await freePort(),
    INVENTORY_API_PORT: await freePort(),
    INTEGRATION_SERVICE_PORT: await freePort(),
    LEDGER_URL: `sqlite:${file}`,
    POLLING_INTERVAL_SECONDS: '0.5',
    SYNC_COMPARE_SECONDS: '0.5',
    RETRY_INTERVAL_SECONDS: '1',
    LOG_LEVEL: 'warn',
  };
  const start = (name: ServiceName) => startService(name, { ...env, LOG_LEVEL: 'info' });
  const running = {
    'crm-api': await start('crm-api'),
    'integration-service': await start('integration-service'),
  };
  await start('inventory-api');
  const shopUrl = `http://127.0.0.1:${env.INTEGRATION_SERVICE_PORT}`;
  const crmUrl = `http://127.0.0.1:${env.CRM_API_PORT}/api/crm/customers`;

  /** One call, sent until it is answered. */
  async function call(method: string, path: string, body?: object): Promise<Response> {
    for (;;) {
      const headers = { 'content-type': 'application/json' };
      const init = { method, ...(body && { headers, body: JSON.stringify(body) }) };
      const response = await fetch(`${shopUrl}${path}`, init).catch(() => undefined);
      if (response && response.status < 500) return response;
      await restarting;
    }
  }

  const known = new Map<string, Known>();
  let restarting = Promise.resolve();
  let killed = 0;
  let changed = 0;
  let deleted = 0;

  async function create(): Promise<string | undefined> {
    const said = new Set<string>();
    const response = await call('POST', '/api/customers', randomInput(said));
    if (response.status === 409) return undefined;
    expect(response.status).toBe(201);
    const customer = (await response.json()) as Shown;
    known.set(customer.id, { said, last: customer });
    return customer.id;
  }

  async function change(id: string): Promise<void> {
    const each = known.get(id) as Known;
    const response = await call('PUT', `/api/customers/${id}`, randomInput(each.said));
    expect([200, 409]).toContain(response.status);
    if (response.status === 200) each.last = (await response.json()) as Shown;
    changed += 1;
    if (killed === KILLS || changed < ((killed + 1) * CHANGES) / (KILLS + 1)) return;
    killed += 1;
    restarting = restarting.then(kill);
  }

  async function remove(id: string): Promise<void> {
    const response = await call('DELETE', `/api/customers/${id}`);
    // An answer may have been lost by a kill.
    expect([204, 404]).toContain(response.status);
    (known.get(id) as Known).last = 'deleted';
    deleted += 1;
  }

  /** Creates and changes customers that no other worker changes. */
  async function work(): Promise<void> {
    const own: string[] = [];
    while (own.length < CUSTOMERS / WORKERS) own.push(...[(await create()) ?? []].flat());
    while (changed < CHANGES) {
      const id = own[pick(own.length)] as string;
      if (deleted < DELETES && own.length > 1 && pick(CHANGES / DELETES) === 0) {
        own.splice(own.indexOf(id), 1);
        await remove(id);
      } else await change(id);
    }
  }

  async function kill(): Promise<void> {
    const name = pick(2) ? 'crm-api' : 'integration-service';
    await running[name].stop('SIGKILL');
    running[name] = await start(name);
  }

  await Promise.all(Array.from({ length: WORKERS }, work));
  await restarting;
  expect(killed).toBe(KILLS);

  const listOf = async (url: string): Promise<Record<string, unknown>[]> => {
    const rows: Record<string, unknown>[] = [];
    for (let at: string | undefined = url; at; ) {
      const response = await fetch(at);
      rows.push(...((await response.json()) as Record<string, unknown>[]));
      const next = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
      const to: string | undefined = next && new URL(next, url).href;
      // The CRM leads on for ever.
      at = to?.startsWith(shopUrl) ? to : undefined;
    }
    return rows.sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1));
  };

  const shop = (await listOf(`${shopUrl}/api/customers?limit=1000`)) as unknown as Shown[];
  const expected = shop.map((customer) => toCrmCustomer(customer));
  await expect
    .poll(() => listOf(crmUrl), { interval: 500 })
    .toEqual(expected.map((each) => expect.objectContaining(each)));
  await expect.poll(async () => (await fetch(`${shopUrl}/failed-requests`)).json()).toEqual([]);

  const present = new Map(shop.map((customer) => [customer.id, customer]));
  for (const [id, { last }] of known) {
    const now = present.get(id);
    if (last === 'deleted') expect(now).toBeUndefined();
    // An answer may have been lost with its change kept: then the version is a later one.
    else if (now?.version === last?.version) expect(now).toEqual(last);
    else expect(now?.version).toBeGreaterThan(last?.version ?? 0);
  }
  const packages = async () => {
    const rows = await listOf(`http://127.0.0.1:${env.INVENTORY_API_PORT}/package-requests`);
    return rows.map((row) => String(row.customer_id)).sort();
  };
  await expect
    .poll(async () => (await packages()).filter((id) => present.has(id)))
    .toEqual([...present.keys()].sort());
  const ids = await packages();
  expect(new Set(ids).size).toBe(ids.length);

  await running['integration-service'].stop();
  const bytes = ['', '-wal'].map((suffix) => {
    try {
      return readFileSync(`${file}${suffix}`, 'latin1');
    } catch {
      return '';
    }
  });
  const gone = [...known.values()].filter(({ last }) => last === 'deleted');
  expect(gone.length).toBeGreaterThan(0);
  const found = gone.flatMap(({ said }) =>
    [...said].filter((text) => bytes.some((each) => each.includes(text))),
  );
  expect(found).toEqual([]);
  const audit = runScript('audit', ['--flow', 'customer-sync'], env);
  expect(await audit.ended, audit.lines.join('\n')).toBe(0);
});
