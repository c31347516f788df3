import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { variablesOf } from 'service-kit/environment';
import { findMisspelt } from 'service-kit/misspelt';
import { describe, expect, it } from 'vitest';
import { environmentSchema as crmSchema } from '../../../crm-api/src/config.ts';
import { environmentSchema as inventorySchema } from '../../../inventory-api/src/config.ts';
import { environmentSchema } from '../../src/config.ts';
import { ingestList, open, temporaryFolder } from '../ledgers.ts';
import { examplesOf, mask, PAGES, placeOf, testOf } from '../pages.ts';
import { ROOT, startService, UNSET } from './processes.ts';

const execute = promisify(execFile);

const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');

describe('npm run settings', () => {
  const settings = (cwd: string, ...args: string[]) =>
    execute(process.execPath, [`${ROOT}settings.ts`, ...args], { cwd });

  it('has written what is committed', () => settings(ROOT, '--check'));

  it.each([
    ['.env.example', /^# LOG_LEVEL=.*\n/m],
    ['docs/configuration.md', /^\| `LOG_LEVEL`.*\n/m],
    ['docker-compose.yml', / {6}- LOG_LEVEL\n/],
  ])('finds %s out of date, and writes what is missing', async (path, line) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'docs'));
    for (const each of ['.env.example', 'docs/configuration.md', 'docker-compose.yml'])
      writeFileSync(join(folder, each), read(each));
    writeFileSync(join(folder, path), read(path).replace(line, ''));
    await expect(settings(folder, '--check')).rejects.toMatchObject({
      code: 1,
      stderr: `${path} is out of date: run npm run settings.\n`,
    });
    await settings(folder);
    expect(readFileSync(join(folder, path), 'utf8')).toBe(read(path));
  });
});

const schemas = [crmSchema, inventorySchema, environmentSchema];

it('no variable looks misspelt to another service than its own', () => {
  const names = schemas.flatMap(variablesOf).flatMap(({ names }) => names);
  const env = Object.fromEntries(names.map((name) => [name, 'x']));
  for (const schema of schemas) expect(findMisspelt(schema, env)).toEqual([]);
});

it('the code map of TECHNICAL_DESIGN.md names files that are there', () => {
  const [, map] = read('TECHNICAL_DESIGN.md').split(/^### 2\.1 Code map$|^### 2\.2/m);
  const rows = [...(map ?? '').matchAll(/^\| (`[a-z].*?) \|/gm)].map(([, cell]) =>
    [...(cell as string).matchAll(/`([^`]+)`/g)].map(([, path]) => path as string),
  );
  expect(rows.length).toBeGreaterThanOrEqual(10);
  for (const [first = '', ...others] of rows) {
    // The first path of a row is whole; the others are beside it.
    const folder = dirname(first);
    for (const path of [first, ...others.map((other) => join(folder, other))]) {
      expect(existsSync(`${ROOT}${path}`), path).toBe(true);
    }
  }
});

it('a system on the machine itself can be reached from the containers that call one', () => {
  for (const service of ['crm-api', 'integration-service'])
    expect(read('docker-compose.yml')).toMatch(
      new RegExp(`${service}/Dockerfile }\\n    extra_hosts: \\*host\\n`),
    );
});

it('npm does not warn of every package that its own Node is older than ours', () => {
  expect(read('.npmrc')).toMatch(/^loglevel=error$/m);
});

const examples = PAGES.flatMap(examplesOf);

it('each command of each page is run by a test', () => {
  const isRun = (path: string | undefined) =>
    path !== undefined && existsSync(`${ROOT}integration-service/test/${path}`);
  const forgotten = examples.filter((each) => !placeOf(each) && !isRun(testOf(each)));
  expect(forgotten.map(({ page, script }) => `${page}: ${script}`)).toEqual([]);
});

it.each(examples.filter((each) => placeOf(each) === 'alone'))(
  '$page: a ledger is backed up without Docker while it is open',
  async ({ script }) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'integration-service/data'), { recursive: true });
    const path = join(folder, 'integration-service/data/ledger.sqlite');
    const ledger = await open({ kind: 'sqlite', path });
    const items = [{ key: 'a', lane: 'a', payload: '{}' }];
    await ingestList(ledger, 'welcome-package', items, { now: 0 });
    const here = script.replace('npx node', JSON.stringify(process.execPath));
    await execute('bash', ['-euc', here], { cwd: folder });
    const backup = new DatabaseSync(join(folder, 'ledger-backup.sqlite'));
    expect(backup.prepare('select key from deliveries').all()).toEqual([{ key: 'a' }]);
    backup.close();
  },
);

it('docs/events.md: a webhook that is signed by hand, with the secret made there, is taken', async () => {
  const folder = temporaryFolder();
  const [makeSecret, sign] = examples.filter((each) => placeOf(each) === 'signed');
  const bash = (script = '') =>
    execute('bash', ['-euo', 'pipefail', '-c', script], { cwd: folder });
  await bash(makeSecret?.script);
  const secret = /^WEBHOOK_SECRET=(.*)$/m.exec(readFileSync(join(folder, '.env'), 'utf8'))?.[1];
  const { port } = await startService('integration-service', {
    ...{ WEBHOOK_SECRET: secret, CRM_API_PORT: '1', INVENTORY_API_PORT: '1' },
  });
  const { stdout } = await bash(sign?.script.replace('localhost:8002', `127.0.0.1:${port}`));
  expect(stdout).toBe(`${sign?.answer?.text}\n`);
});

it('docs/customer-sync.md: the CRM that lost its memory in an outage is whole again', async () => {
  const [crm, inventory] = await Promise.all([
    startService('crm-api'),
    startService('inventory-api'),
  ]);
  const settings = {
    ...{ CRM_API_PORT: crm.port, INVENTORY_API_PORT: inventory.port },
    ...{ POLLING_INTERVAL_SECONDS: '0.2', RETRY_DELAY_SECONDS: '0.1' },
    LEDGER_URL: `sqlite:${join(temporaryFolder(), 'ledger.sqlite')}`,
  };
  const service = await startService('integration-service', settings);
  const bash = async (script: string) => {
    const here = script
      .replaceAll('localhost:8002', `127.0.0.1:${service.port}`)
      .replaceAll('docker compose exec integration-service npm run --silent', 'npm run --silent')
      .replaceAll(/^curl /gm, 'curl --silent --show-error ');
    const env = { ...process.env, ...UNSET, ...settings };
    return (await execute('bash', ['-euo', 'pipefail', '-c', here], { cwd: ROOT, env })).stdout;
  };
  const packages = async () => {
    const response = await fetch(`${inventory.url}/package-requests`);
    return ((await response.json()) as { customer_id: string }[]).map((each) => each.customer_id);
  };

  const shown = examplesOf('docs/customer-sync.md');
  const [create, outage, requests, table, start, empty] = shown.map(({ script, answer }) => ({
    ...{ script, answer: JSON.parse(answer?.language === 'json' ? mask(answer.text) : 'null') },
    run: () => bash(script.replace(/^docker compose (stop|start) crm-api\n?/, '')),
  }));
  const answerOf = async (example = create) => JSON.parse(mask((await example?.run()) ?? ''));
  expect(await answerOf()).toEqual(create?.answer);
  await expect.poll(packages).toHaveLength(1);

  expect(outage?.script).toMatch(/^docker compose stop crm-api\n/);
  await crm.stop();
  await outage?.run();
  await expect
    .poll(() => answerOf(requests))
    .toEqual([expect.objectContaining({ operation: 'CREATE', status: 'pending' })]);
  expect(mask((await table?.run()) ?? '')).toMatch(
    /\n<id> CREATE (pending|sending) .*ECONNREFUSED/,
  );

  expect(start?.script).toBe('docker compose start crm-api');
  await startService('crm-api', { CRM_API_PORT: crm.port });
  await expect.poll(() => answerOf(empty)).toEqual(empty?.answer);
  const names = async () => {
    const response = await fetch(`${crm.url}/api/crm/customers`);
    return ((await response.json()) as { name: string }[]).map(({ name }) => name).sort();
  };
  await expect.poll(names).toEqual(['Ann Lee', 'Tom Ray']);
  await expect.poll(packages).toHaveLength(2);
  expect(new Set(await packages()).size).toBe(2);
});

describe.each(['TECHNICAL_DESIGN.md', ...PAGES])('%s', (page) => {
  const text = read(page);

  it('has no line over 120 characters but in tables', () => {
    const lines = text.split('\n').filter((line) => line.length > 120 && !line.startsWith('|'));
    expect(lines).toEqual([]);
  });

  it('links to what is there', () => {
    const anchorsOf = (path: string) =>
      [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
        (title as string)
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [file = '', anchor] = link.split('#');
      const path = file === '' ? page : join(dirname(page), file);
      expect(existsSync(`${ROOT}${path}`), link).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(path), link).toContain(anchor);
    }
  });
});
