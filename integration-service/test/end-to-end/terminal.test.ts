import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Transition } from '../../src/delivery/delivery.ts';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';
import { welcomePackageFor } from '../../src/welcome-package/item.ts';
import { ingestList, temporaryFolder } from '../ledgers.ts';
import { packageRequest, startHttpServer } from '../support.ts';
import { ROOT, run } from './processes.ts';

const EVIL = '\u001b[31mEVIL\u009b\u202e\r\nFORGED';
const SHOWN = String.raw`\u001b[31mEVIL\u009b\u202e\r\nFORGED`;

/** A ledger between the two systems with a dead letter whose customer id contains terminal controls. */
async function setUp(id: string) {
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const ledger = await openLedger({ kind: 'sqlite', path }, pino({ level: 'silent' }));
  const [flow, now] = ['welcome-package', Date.now()];
  await ingestList(ledger, flow, [welcomePackageFor(id)], { now });
  const [claim] = await ledger.claim(flow, { order: 'lane', limit: 1, now });
  if (!claim) throw new Error('nothing to claim');
  const transition: Transition = {
    status: 'dead',
    ...{ attempts: 1, reads: 0, nextAttemptAt: null, lastError: `no ${id}` },
    event: { what: 'permanent', attempt: 1, statusCode: 422, reason: `no ${id}` },
  };
  await ledger.commit([{ claim, transition }], now);
  await ledger.close();
  const list = (records: unknown) =>
    startHttpServer((_request, response) => response.end(JSON.stringify(records)));
  return {
    LEDGER_URL: `sqlite:${path}`,
    CRM_API_URL: await list([{ id }]),
    INVENTORY_API_URL: await list([packageRequest(`${id} of another`)]),
  };
}

/** Runs a command without npm, which would add lines of its own. */
const command = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, args, env, `${ROOT}integration-service`);

describe.each([
  ['audit', []],
  ['audit', ['--json']],
  ['explain', [EVIL]],
  ['replay', ['--dry-run']],
])('npm run %s, with %j', (name, args) => {
  it('shows what a terminal would obey, and lets nobody forge a line', async () => {
    const child = command([`src/commands/${name}.ts`, ...args], await setUp(EVIL));
    await child.ended;
    expect(child.lines.join('')).toContain(SHOWN);
    expect(child.lines.join('')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    expect(child.lines.filter((line) => line.startsWith('FORGED'))).toEqual([]);
  });
});

it.each([
  ['CRM', 'CRM_API_URL', 'CRM_API_URL or CUSTOMER_SYNC_URL'],
  ['inventory', 'INVENTORY_API_URL', 'INVENTORY_API_URL'],
])(
  'a command says what to check when the %s does not let it in',
  async (name, variable, variables) => {
    const env = await setUp('an-id');
    const url = await startHttpServer((_request, response) => response.writeHead(401).end('Who?'));
    const child = command(['src/commands/audit.ts'], { ...env, [variable]: url });
    expect(await child.ended).toBe(2);
    expect(child.lines).toEqual([
      `The ${name} gave no usable answer: 401 Unauthorized: Who?. Check the user name and password in ${variables}.`,
    ]);
  },
);

describe.each([
  ['npm run audit', ['src/commands/audit.ts']],
  ['npm run explain', ['src/commands/explain.ts', 'an-id']],
  ['npm run lambda', ['src/commands/lambda.ts', '--help']],
  ['npm run prove', ['prove/prove.ts', '--only', 'stored/drops/plain', '--kills', '1']],
  ['npm run bench', ['bench/bench.ts', '--only', 'start-up', '--runs', '1']],
])('%s', (_, args) => {
  it('ends quietly when nobody reads what it prints', async () => {
    const { process: child } = command(args, await setUp('an-id'));
    const errors = child.stderr ? text(child.stderr) : '';
    child.stdout?.destroy();
    const [code, signal] = await once(child, 'close');
    expect({ code, signal, errors: await errors }).toEqual({ code: 141, signal: null, errors: '' });
  });
});
