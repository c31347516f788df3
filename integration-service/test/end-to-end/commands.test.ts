import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation, temporaryFolder } from '../ledgers.ts';
import { packageRequest, startHttpServer } from '../support.ts';
import { runScript, startService } from './processes.ts';

const ALICE = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';
const BOB = 'b2a1b2c3-d4e5-46a7-b8c9-d0e1f2a3b4c5';

/** A service between a CRM and an inventory that the test can change, and the commands. */
async function setUp(env: NodeJS.ProcessEnv = {}) {
  const crm = [{ id: ALICE }, { id: BOB }];
  const inventory: ReturnType<typeof packageRequest>[] = [];
  const refused = new Set<string>();
  const throttled = new Set<string>();
  const crmUrl = await startHttpServer((_request, response) => response.end(JSON.stringify(crm)));
  const inventoryUrl = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end(JSON.stringify(inventory));
    const { customer_id } = JSON.parse(String(await once(request, 'data')));
    if (throttled.has(customer_id)) return response.writeHead(429, { 'retry-after': '3000' }).end();
    if (refused.has(customer_id)) return response.writeHead(422).end('no such address');
    inventory.push(packageRequest(customer_id));
    response.writeHead(201).end(JSON.stringify(inventory.at(-1)));
  });
  const settings: Record<string, string | undefined> = {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: inventoryUrl,
    LEDGER_URL: `sqlite:${join(temporaryFolder(), 'ledger.sqlite')}`,
    POLLING_INTERVAL_SECONDS: '0.1',
    ...env,
  };
  /** Runs a command to its end. */
  const command = async (name: string, ...args: string[]) => {
    const child = runScript(name, args, settings);
    return { exitCode: await child.ended, lines: child.lines };
  };
  const start = () => startService('integration-service', settings);
  return { crm, inventory, refused, throttled, settings, command, start };
}

const empty = {
  flow: 'welcome-package',
  drift: false,
  missing: [],
  doubled: [],
  orphaned: [],
  dead: [],
  held: [],
  in_flight: [],
  unusable: [],
};

describe('npm run audit', () => {
  it('finds nothing when all three agree, and what differs otherwise, with the ids', async () => {
    const { crm, inventory, refused, command, start } = await setUp();
    refused.add(BOB);
    const service = await start();
    await service.until(/Successfully created package request/);
    await service.until(/Giving up on/);
    refused.clear();
    expect(await command('replay', '--all')).toMatchObject({ exitCode: 0 });
    await service.until(/Successfully created package request/, 2);
    expect(await command('audit')).toEqual({
      exitCode: 0,
      lines: [
        'missing          0  in the CRM, without a package',
        'doubled          0  with more than one package',
        'orphaned         0  with a package, not in the CRM',
        'dead             0  given up, until replayed',
        'held             0  kept back, until released',
        'in_flight        0  on their way',
        'unusable         0  records of the CRM that are no customers',
      ],
    });
    expect(JSON.parse((await command('audit', '--json')).lines.join())).toEqual(empty);

    const stranger = 'd0c0ffee-0000-4000-8000-000000000000';
    inventory.splice(0, 2, packageRequest(BOB), packageRequest(BOB), packageRequest(stranger));
    refused.add('e');
    crm.push({ id: 'e' });
    await service.until(/Giving up on welcome-package\/e/);
    const { exitCode, lines } = await command('audit', '--json');
    expect(exitCode).toBe(1);
    expect(JSON.parse(lines.join())).toEqual({
      ...empty,
      drift: true,
      missing: [ALICE],
      doubled: [BOB],
      orphaned: [stranger],
      dead: ['e'],
    });
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    for (const kind of ['missing', 'doubled', 'orphaned', 'dead']) {
      expect(metrics).toContain(`audit_drift{flow="welcome-package",kind="${kind}"} 1`);
    }
  });

  it('names the first ten of a kind, all with --all, and says when the CRM was reset', async () => {
    const { crm, inventory, command, start } = await setUp();
    const service = await start();
    await service.until(/Successfully created package request/, 2);
    const strangers = Array.from({ length: 10 }, (_, i) => `stranger-${i + 10}`);
    inventory.push(...strangers.map((id) => packageRequest(id)));
    crm.splice(0, crm.length, { id: 'new' });
    await service.until(/Successfully created package request/, 3);
    crm.splice(0, crm.length);
    const summary = (await command('audit')).lines;
    const orphans = [BOB, ALICE, 'new', ...strangers];
    const line = 'orphaned        13  with a package, not in the CRM';
    const at = summary.indexOf(line);
    expect(summary.slice(at, at + 12)).toEqual([
      line,
      ...orphans.slice(0, 10).map((id) => `  ${id}`),
      '  … and 3 more; --all names them',
    ]);
    const reset = "None of the 3 known customers is in the CRM's list: was it reset?";
    expect(summary.at(-1)).toBe(reset);
    const { lines } = await command('audit', '--all');
    expect(lines.filter((each) => each.startsWith('  '))).toEqual(orphans.map((id) => `  ${id}`));
    crm.push({ id: ALICE });
    expect((await command('audit')).lines).not.toContain(reset);
  });

  it('has what is missing sent again by the running service with --repair, and nothing else', async () => {
    const { inventory, command, start } = await setUp();
    const service = await start();
    await service.until(/Successfully created package request/, 2);
    inventory.splice(0, 1);
    const lost = [ALICE, BOB].filter((id) => id !== inventory[0]?.customer_id);
    // A truncated list looks the same.
    expect((await command('audit', '--repair')).lines.slice(-3)).toEqual([
      'The inventory lists 1 of the 2 that were delivered: was it reset, or is its list cut off?',
      'Put back to pending: 0. A running service sends them.',
      'Not put back: 1 that were delivered before. If the inventory has lost them, and its list is not cut off: npm run audit -- --repair --trust-list',
    ]);
    expect((await command('audit', '--trust-list')).exitCode).toBe(2);
    const { exitCode, lines } = await command('audit', '--repair', '--trust-list');
    expect(exitCode).toBe(1);
    expect(lines.at(-1)).toBe('Put back to pending: 1. A running service sends them.');
    await service.until(/Successfully created package request/, 3);
    expect(inventory.map(({ customer_id }) => customer_id).sort()).toEqual([BOB, ALICE]);
    expect(lost).toHaveLength(1);
    expect((await command('audit')).exitCode).toBe(0);
  });

  it('counts records that cannot be used as drift until somebody accepts them', async () => {
    const { crm, command, start, settings } = await setUp();
    Object.assign(settings, { POLLING_INTERVAL_SECONDS: '3600' });
    const odd = { id: 7, name: 'Jane Doe', email: 'jane@example.com' } as unknown as { id: string };
    crm.push(odd);
    const service = await start();
    await service.until(/Successfully created package request/, 2);
    // The service has seen the first record and never sees the second.
    crm.splice(2, 1, { id: '' }, { id: 'c' });
    crm.pop();
    const audited = await command('audit');
    expect(audited.exitCode).toBe(1);
    expect(audited.lines.slice(6)).toEqual([
      'unusable         2  records of the CRM that are no customers',
      '  position 2: it has no id',
      '  position 2, id 7: its id is not a string (not listed now)',
      'Nobody has accepted 2 of them: correct them in the CRM, or run',
      'npm run audit -- --accept, which accepts all that are there now.',
    ]);
    expect(await command('audit', '--accept')).toMatchObject({ exitCode: 0 });
    crm.push({ id: '' }, odd, { id: 8 } as never);
    const { exitCode, lines } = await command('audit', '--json');
    expect(exitCode).toBe(1);
    const told = { listed: true, accepted: true };
    expect(JSON.parse(lines.join())).toEqual({
      ...empty,
      drift: true,
      unusable: [
        { ...told, position: 2, id: null, reason: 'it has no id' },
        { ...told, position: 4, id: '7', reason: 'its id is not a string' },
        { ...told, position: 5, id: '8', reason: 'its id is not a string', accepted: false },
      ],
    });
    expect([...lines, ...audited.lines, ...service.lines].join()).not.toMatch(/jane/i);
  });

  it('waits for the next poll before it calls a new customer missing', async () => {
    const { crm, command, start } = await setUp({ POLLING_INTERVAL_SECONDS: '2' });
    const service = await start();
    await service.until(/Polling cycle finished/);
    crm.push({ id: 'new' });
    expect(await command('audit', '--json')).toMatchObject({ exitCode: 0 });
  });

  it('ends with 2 when it could not compare: the CRM, the inventory, the ledger', async () => {
    const { start, command, settings } = await setUp();
    const service = await start();
    await service.until(/Polling cycle finished/);
    const nobody = 'http://127.0.0.1:1/';
    const usual = { ...settings };
    for (const [name, url, message] of [
      ['CRM_API_URL', nobody, /^The CRM gave no usable answer: .*ECONNREFUSED/],
      ['INVENTORY_API_URL', nobody, /^The inventory gave no usable answer: .*ECONNREFUSED/],
      ['LEDGER_URL', 'sqlite:nowhere/ledger.sqlite', /There is no ledger at \/.+\/nowhere\/ledger/],
      ['LEDGER_URL', 'sqlite::memory:', /The ledger is in the memory of the service/],
    ] as const) {
      Object.assign(settings, { ...usual, [name]: url });
      const { exitCode, lines } = await command('audit');
      expect(exitCode).toBe(2);
      expect(lines).toEqual([expect.stringMatching(message)]);
    }
  });
});

describe('npm run explain', () => {
  it('tells the history of a customer, and whom it does not know', async () => {
    const { refused, command, start } = await setUp();
    refused.add(ALICE);
    const service = await start();
    await service.until(/Giving up on/);
    const { exitCode, lines } = await command('explain', ALICE.toUpperCase());
    expect(exitCode).toBe(0);
    const time = String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`;
    const reason = '422 Unprocessable Entity: no such address';
    expect(lines).toEqual([
      ALICE,
      expect.stringMatching(new RegExp(`^${time} {2}welcome-package {2}ingested$`)),
      expect.stringMatching(
        new RegExp(`^${time} {2}welcome-package {2}permanent {2}attempt 1 {2}422 {2}${reason}$`),
      ),
      `welcome-package/${ALICE}: dead, 1 attempt(s), ${reason}`,
    ]);
    expect(await command('explain', 'nobody')).toEqual({
      exitCode: 1,
      lines: ['The ledger does not know the customer nobody.'],
    });
  });
});

describe('while the inventory is left alone', () => {
  it('explain and /deliveries tell when the next attempt can really come', async () => {
    const { crm, throttled, command, start } = await setUp();
    throttled.add(ALICE);
    crm.pop();
    const service = await start();
    await service.until(/The inventory asks for fewer calls/);
    crm.push({ id: BOB });
    await service.until(/Found new customer: unnamed \(ID: b2a1/);
    const [alice, bob] = (await (await fetch(`${service.url}/deliveries`)).json()) as {
      attempts: number;
      created_at: string;
      next_attempt_at: string;
    }[];
    expect([alice?.attempts, bob?.attempts]).toEqual([1, 0]);
    for (const each of [alice, bob]) {
      const { created_at, next_attempt_at } = each as NonNullable<typeof each>;
      expect(Date.parse(next_attempt_at) - Date.parse(created_at)).toBeGreaterThan(2_000_000);
    }
    const last = (await command('explain', BOB)).lines.at(-1);
    const next = /pending, 0 attempt\(s\), next (\S+)$/.exec(last ?? '')?.[1] ?? '';
    expect(Date.parse(next) - Date.parse(bob?.created_at ?? '')).toBeGreaterThan(2_000_000);
  });
});

describe('npm run replay', () => {
  it('shows with --dry-run what it would do, then has it done', async () => {
    const { inventory, refused, command, start, settings } = await setUp();
    for (const id of [ALICE, BOB]) refused.add(id);
    const service = await start();
    await service.until(/Giving up on/, 2);
    inventory.push(packageRequest(BOB));
    refused.clear();
    const verdicts = [
      `welcome-package/${ALICE}: to_send`,
      `welcome-package/${BOB}: already_delivered`,
    ];
    const summary = '2 dead, 1 already delivered, 1 to send.';
    expect(await command('replay', '--dry-run')).toEqual({
      exitCode: 0,
      lines: [...verdicts, `${summary} Nothing was changed.`],
    });
    expect(await command('replay', '--reason', '422', '--dry-run', '--key', BOB)).toMatchObject({
      lines: [verdicts[1], '1 dead, 1 already delivered, 0 to send. Nothing was changed.'],
    });
    expect((await command('replay')).exitCode).toBe(2);
    settings.npm_config_dry_run = 'true';
    const swallowed = await command('replay', '--all');
    expect(swallowed.exitCode).toBe(2);
    expect(swallowed.lines[0]).toBe('npm took --dry-run for itself: npm run replay -- --dry-run.');
    settings.npm_config_dry_run = '';
    expect((await command('replay', '--reason', '')).exitCode).toBe(2);
    expect((await command('replay', '--reason', '4', '--reason', '5')).exitCode).toBe(2);
    expect((await command('replay', '--all', '--flow', 'welcome-package')).exitCode).toBe(2);
    expect(await command('replay', '--all')).toEqual({
      exitCode: 0,
      lines: [...verdicts, `${summary} A running service sends them.`],
    });
    await service.until(/Successfully created package request/);
    expect(inventory.map(({ customer_id }) => customer_id)).toEqual([BOB, ALICE]);
  });
});

describe('npm run poll', () => {
  it('makes a running service poll at once, with the token, and says when it cannot', async () => {
    const { crm, command, start, settings } = await setUp({
      POLLING_INTERVAL_SECONDS: '3600',
      ADMIN_TOKEN: 'a-token-of-mine',
    });
    const carol = randomUUID();
    const service = await start();
    await service.until(/Polling cycle finished/);
    crm.push({ id: carol });
    settings.INTEGRATION_SERVICE_PORT = String(service.port);
    const expected = { exitCode: 0, lines: ['welcome-package polls now.'] };
    expect(await command('poll', 'welcome-package')).toEqual(expected);
    await service.until(new RegExp(`Successfully created package request .*${carol}`));
    expect(await command('poll')).toEqual(expected);
    expect(await command('poll', 'shop')).toEqual({
      exitCode: 2,
      lines: ["There is no flow 'shop'; switched on are: welcome-package."],
    });
    expect((await command('poll', 'a', 'b')).exitCode).toBe(2);
    settings.ADMIN_TOKEN = 'another-token';
    expect((await command('poll')).lines).toEqual(['Send the ADMIN_TOKEN as a bearer token.']);
    await service.stop();
    const { exitCode, lines } = await command('poll');
    expect(exitCode).toBe(2);
    expect(lines[0]).toMatch(
      /^No integration-service answers at http:\/\/127\.0\.0\.1:\d+\. Start it/,
    );
  });
});

describe.each(LEDGER_KINDS)('npm run sql on %s', (kind) => {
  async function setUpSql() {
    const location = await newLocation(kind);
    const LEDGER_URL = location.kind === 'sqlite' ? `sqlite:${location.path}` : location.url;
    const { command, start, refused } = await setUp({ LEDGER_URL });
    refused.add(ALICE);
    const service = await start();
    await service.until(/Giving up on/);
    await service.until(/Successfully created package request/);
    return (...args: string[]) => command('sql', ...args);
  }

  it('shows what a statement reads, in columns or as JSON, each row on one line', async () => {
    const sql = await setUpSql();
    const statement = `select lane, status, next_attempt_at, created_at / 1000000000000 as "at\n"
      from deliveries order by status desc -- the end`;
    expect(await sql(statement)).toEqual({
      exitCode: 0,
      lines: [
        'lane                                  status     next_attempt_at  at\\n',
        `${BOB}  delivered  null             1`,
        `${ALICE}  dead       null             1`,
      ],
    });
    const { lines } = await sql('--json', statement);
    const rest = { next_attempt_at: null, 'at\n': 1 };
    expect(JSON.parse(lines.join())).toEqual([
      { lane: BOB, status: 'delivered', ...rest },
      { lane: ALICE, status: 'dead', ...rest },
    ]);
    const odd = `select 'a\nb\u001b[31m' as a, 9007199254740993 as b, 2 as a, 1.5 as c`;
    expect((await sql(odd)).lines).toEqual([
      'a               b                 a  c',
      'a\\nb\\u001b[31m  9007199254740993  2  1.5',
    ]);
    expect(await sql('select * from failed_requests')).toEqual({
      exitCode: 0,
      lines: ['No rows.'],
    });
    expect((await sql('--json', 'select * from failed_requests')).lines).toEqual(['[]']);
  });

  it('writes nothing, and says what the database says of a wrong statement', async () => {
    const sql = await setUpSql();
    for (const statement of [
      'delete from deliveries',
      'delete from deliveries returning key',
      "update deliveries set status = 'pending'",
      'create table mine (id text)',
      'commit',
      'select 1; delete from deliveries',
      'commit; delete from deliveries',
    ]) {
      const { exitCode, lines } = await sql(statement);
      expect([statement, exitCode, lines]).toEqual([
        statement,
        2,
        [
          expect.stringMatching(
            /^Only what reads is run: |^One statement at a time|multiple commands/,
          ),
        ],
      ]);
    }
    expect((await sql('select count(*) as n from deliveries')).lines).toEqual(['n', '2']);
    const wrong = await sql('select id from nowhere');
    expect(wrong.exitCode).toBe(2);
    expect(wrong.lines).toEqual([
      kind === 'sqlite' ? 'no such table: nowhere' : 'relation "nowhere" does not exist',
    ]);
    for (const args of [[], [''], ['select 1', 'select 2']]) {
      const { exitCode, lines } = await sql(...args);
      expect([exitCode, lines[0]]).toEqual([2, 'One statement is needed, in quotation marks.']);
    }
  });
});

describe('npm run demo', () => {
  /** The three services, as `npm start` starts them. */
  async function setUpDemo(env: NodeJS.ProcessEnv = {}) {
    const crm = await startService('crm-api');
    const inventory = await startService('inventory-api');
    const settings: NodeJS.ProcessEnv = {
      CRM_API_PORT: crm.port,
      INVENTORY_API_PORT: inventory.port,
      LEDGER_URL: `sqlite:${join(temporaryFolder(), 'ledger.sqlite')}`,
      POLLING_INTERVAL_SECONDS: '3600',
      ...env,
    };
    const service = await startService('integration-service', settings);
    settings.INTEGRATION_SERVICE_PORT = service.port;
    const demo = async (...args: string[]) => {
      const child = runScript('demo', args, settings);
      return { exitCode: await child.ended, lines: child.lines };
    };
    const customers = async () =>
      (await (await fetch(`${service.url}/api/customers`)).json()) as { id: string }[];
    return { crm, inventory, service, demo, customers };
  }

  it('shows what shop, CRM and inventory have of 20 customers, as often as it is run', async () => {
    const { demo, customers, inventory } = await setUpDemo({ ADMIN_TOKEN: '' });
    for (const run of [1, 2]) {
      const { exitCode, lines } = await demo();
      expect([exitCode, lines.join('\n')]).toEqual([0, expect.anything()]);
      const rows = lines.slice(1, 22).map((line) => line.split(/ {2,}/));
      expect(rows[0]).toEqual(['customer', 'name', 'shop', 'CRM', 'inventory']);
      const shown = rows.slice(1).map(([, ...rest]) => rest.join(', '));
      for (const [i, each] of shown.entries()) {
        const version = i < 5 ? 'version 2' : 'version 1';
        const name = `Demo ${String(i + 1).padStart(2, '0')}`;
        // A package of a deleted customer may have been requested before.
        expect(each).toMatch(
          i < 17
            ? `${name}, ${version}, ${version}, 1 package`
            : new RegExp(`^${name}, deleted, deleted, (no packages|1 package)$`),
        );
      }
      expect(lines.slice(-3).map((line) => line.trim())).toEqual([
        `npm run --silent explain -- ${rows[1]?.[0]}`,
        'npm run --silent sql -- "select * from customers"',
        'npm run --silent audit -- --flow customer-sync',
      ]);
      expect(await customers()).toHaveLength(17 * run);
    }
    const packages = await (await fetch(`${inventory.url}/package-requests`)).json();
    expect((packages as unknown[]).length).toBeGreaterThanOrEqual(34);
  });

  it('says what is held until a person decides, and ends with 1', async () => {
    const { demo } = await setUpDemo({ SURGE_LIMIT: '1' });
    const { exitCode, lines } = await demo();
    expect(exitCode).toBe(1);
    expect(lines.filter((line) => /^welcome-package\/\S+ is held/.test(line))).toHaveLength(17);
  });

  it('gives up after a time, and names the system that it waits for', async () => {
    const inventoryUrl = await startHttpServer((request, response) =>
      request.method === 'GET' ? response.end('[]') : response.writeHead(503).end(),
    );
    const { demo, customers } = await setUpDemo({
      ...{ INVENTORY_API_URL: inventoryUrl, FLOWS: 'welcome-package,customer-sync' },
    });
    const { exitCode, lines } = await demo('--wait', '5');
    expect([exitCode, ...lines.slice(1)]).toEqual([
      2,
      expect.stringMatching(
        /^After 5 s, something is still on its way for \d+ of the 20 customers/,
      ),
      expect.stringMatching(/^inventory: The inventory fails: 503/),
      expect.stringMatching(/^What waits: npm run --silent sql -- "select /),
    ]);
    expect(await customers()).toHaveLength(17);
    expect((await demo('--wait', 'x')).exitCode).toBe(2);
  });

  it('creates nothing where a flow is off or a system is away', async () => {
    const { demo, customers, inventory, service, crm } = await setUpDemo();
    await inventory.stop();
    const away = await demo();
    expect(away).toEqual({
      exitCode: 2,
      lines: [expect.stringMatching(/^The inventory gave no usable answer: .*ECONNREFUSED/)],
    });
    await crm.stop();
    expect((await demo()).lines[0]).toMatch(/^The CRM gave no usable answer: .*ECONNREFUSED/);
    expect(await customers()).toEqual([]);
    await service.stop();
    expect((await demo()).lines[0]).toMatch(/^No integration-service answers at http:/);
    const { demo: demoOfOne } = await setUpDemo({ FLOWS: 'welcome-package' });
    expect(await demoOfOne()).toEqual({
      exitCode: 2,
      lines: ["There is no flow 'customer-sync'; switched on are: welcome-package."],
    });
  });
});

describe.each(['explain', 'audit', 'replay', 'sql', 'demo'])('npm run %s', (name) => {
  const usage = new RegExp(`^Usage: npm run (--silent )?${name}`);

  it('tells its options with --help, also where there is no ledger', async () => {
    const { command } = await setUp();
    const { exitCode, lines } = await command(name, '--help');
    expect(exitCode).toBe(0);
    expect(lines[0]).toMatch(usage);
  });

  it('tells them, too, when it does not understand an option', async () => {
    const { command } = await setUp();
    const { exitCode, lines } = await command(name, '--what');
    expect(exitCode).toBe(2);
    expect(lines[0]).toContain("Unknown option '--what'");
    expect(lines[2]).toMatch(usage);
  });
});
