import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../ledgers.ts';
import { ROOT, type RunningProcess, run, runScript, startService } from './processes.ts';

const BUILT = `${ROOT}integration-service/dist/lambda.mjs`;
const EXAMPLE = 'integration-service/events/customer-created.json';
const JANE = '26903934-a784-469e-a61d-14023f521250';
const DONE = '{"batchItemFailures":[]}';

const SETTINGS = { INVENTORY_API_PORT: '1' };

/** Runs an npm script in a folder of the project and waits for its end. */
function npmRun(args: string[], env: NodeJS.ProcessEnv = {}, folder = '') {
  return finish(
    run('npm', ['run', '--silent', ...args], { ...SETTINGS, ...env }, `${ROOT}${folder}`),
  );
}

/**
 * The equivalent of `npm run lambda -- <args>` in the project's folder, which npm passes as `INIT_CWD`.
 */
function lambda(args: string[], env: NodeJS.ProcessEnv = {}) {
  return finish(runScript('lambda', args, { ...SETTINGS, INIT_CWD: ROOT, ...env }));
}

/** The exit code and the output, without npm's own lines. */
async function finish(child: RunningProcess) {
  const exitCode = await child.ended;
  const lines = child.lines.filter((line) => !/^npm warn|\.env not found/.test(line));
  return { exitCode, lines };
}

function build(): void {
  execFileSync(process.execPath, ['build-lambda.ts'], { cwd: `${ROOT}integration-service` });
}

beforeAll(build);

/** The real inventory, and the customers whose packages it was asked for. */
async function startInventory() {
  const { url, port } = await startService('inventory-api');
  const packages = async () => {
    const response = await fetch(`${url}/package-requests`);
    const list = (await response.json()) as { customer_id: string }[];
    return list.map(({ customer_id }) => customer_id);
  };
  return { env: { INVENTORY_API_PORT: port }, url: `${url}/package-requests`, packages };
}

describe('npm run build:lambda', () => {
  it('makes one file and prints its size', async () => {
    rmSync(BUILT, { force: true });
    const { exitCode, lines } = await npmRun(['build:lambda']);
    expect(exitCode).toBe(0);
    const [, kilobytes] = /lambda\.mjs: (\d+) kB, gzipped \d+ kB$/.exec(lines.join()) ?? [];
    expect(Number(kilobytes)).toBe(Math.round(readFileSync(BUILT).length / 1_000));
  });
});

describe('the built file', () => {
  /** Runs the function in a folder that contains nothing else, and prints its answer. */
  async function runAlone(env: NodeJS.ProcessEnv) {
    const folder = temporaryFolder();
    copyFileSync(BUILT, join(folder, 'lambda.mjs'));
    writeFileSync(
      join(folder, 'call.mjs'),
      `import { readFileSync } from 'node:fs';
      import { handler } from './lambda.mjs';
      const event = JSON.parse(readFileSync(process.argv[2], 'utf8'));
      console.log(JSON.stringify(await handler(event)));`,
    );
    const child = run(process.execPath, ['call.mjs', `${ROOT}${EXAMPLE}`], env, folder);
    expect(await child.ended).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['call.mjs', 'lambda.mjs']);
    return child.lines;
  }

  it('works without any other file', async () => {
    const { url, packages } = await startInventory();
    const lines = await runAlone({ INVENTORY_API_URL: url });
    expect(lines).toContain(DONE);
    expect(lines).toContainEqual(
      expect.stringContaining('"msg":"Successfully created package request for customer ID: 2690'),
    );
    expect(lines).toHaveLength(3);
    expect(await packages()).toEqual([JANE]);
  });
});

describe('npm run lambda', () => {
  it.each([
    ['', EXAMPLE],
    ['integration-service', 'events/customer-created.json'],
    ['integration-service/events', 'customer-created.json'],
    ['', `${ROOT}${EXAMPLE}`],
  ])(
    'takes the path of an event as it is seen from where it is called: /%s',
    async (folder, path) => {
      const { env, packages } = await startInventory();
      const { exitCode, lines } = await npmRun(['lambda', '--', path], env, folder);
      expect({ exitCode, answer: lines.find((line) => line.startsWith('{"batch')) }).toEqual({
        exitCode: 0,
        answer: DONE,
      });
      expect(await packages()).toEqual([JANE]);
    },
  );

  it('ends with 1 when a message failed', async () => {
    const { exitCode, lines } = await lambda([EXAMPLE]);
    expect(exitCode).toBe(1);
    const { messageId } = JSON.parse(readFileSync(`${ROOT}${EXAMPLE}`, 'utf8')).Records[0];
    expect(lines).toContain(JSON.stringify({ batchItemFailures: [{ itemIdentifier: messageId }] }));
    expect(lines.join('\n')).toMatch(/Message .* failed: transient: .*ECONNREFUSED/);
  });

  it.each<[string, string[], NodeJS.ProcessEnv, RegExp]>([
    ['there is no such file', ['nowhere.json'], {}, /nowhere\.json cannot be read: ENOENT/],
    ['the file is no JSON', ['README.md'], {}, /README\.md cannot be read: it is not JSON/],
    ['the file is no event', ['package.json'], {}, /package\.json is no SQS event/],
    ['no file is named', [], {}, /^One event file is needed\.\n\nUsage: npm run lambda -- /],
    ['an option is not known', ['--what'], {}, /^Unknown option '--what'.*\n\nUsage: /],
    [
      'the environment cannot be used',
      [EXAMPLE],
      { LOG_LEVEL: 'x', DELIVERY_CONCURRENCY: '0' },
      /^DELIVERY_CONCURRENCY must be a whole number from 1 .*\nLOG_LEVEL must be /,
    ],
  ])('ends with 2 when %s', async (_, args, env, message) => {
    const { exitCode, lines } = await lambda(args, env);
    expect(exitCode).toBe(2);
    expect(lines.join('\n')).toMatch(message);
  });

  it('ends with 2 when there is nothing built, and says how to build it', async () => {
    rmSync(BUILT);
    const { exitCode, lines } = await lambda([EXAMPLE]);
    expect(exitCode).toBe(2);
    expect(lines).toEqual(['There is no function yet: npm run build:lambda builds it.']);
    build();
  });

  it('tells how it is used with --help', async () => {
    const { exitCode, lines } = await lambda(['--help']);
    expect(exitCode).toBe(0);
    expect(lines[0]).toBe('Usage: npm run lambda -- <event file>');
  });
});
