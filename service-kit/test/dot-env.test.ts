import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseEnvironmentFile } from '../src/environment-file.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A separate project folder for a separate `.env`. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dot-env-'));
  cpSync(`${ROOT}service-kit/src`, join(folder, 'service-kit/src'), { recursive: true });
  symlinkSync(`${ROOT}node_modules`, join(folder, 'node_modules'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const PRINT = 'console.log(JSON.stringify([process.env.ADMIN_TOKEN, process.env.LOG_LEVEL]))';

function runWith(content: string | Buffer, code = PRINT, env: NodeJS.ProcessEnv = {}) {
  writeFileSync(join(folder, '.env'), content);
  return runNode(code, env);
}

function runNode(code: string, env: NodeJS.ProcessEnv = {}) {
  const preload = join(folder, 'service-kit/src/dot-env.ts');
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', preload, '--input-type=module', '--eval', code],
    { env, encoding: 'utf8' },
  );
  return { stdout, stderr, status };
}

describe('what .env says', () => {
  it('is in the environment, the first line of a file with a byte order mark, too', () => {
    expect(runWith('\uFEFFADMIN_TOKEN=a#token\nLOG_LEVEL=debug\n')).toEqual({
      stdout: '["a#token","debug"]\n',
      stderr: '',
      status: 0,
    });
  });

  it('does not count where the environment has a value, or an empty one', () => {
    const env = { ADMIN_TOKEN: 'from outside', LOG_LEVEL: '' };
    const { stdout } = runWith('ADMIN_TOKEN=a\nLOG_LEVEL=debug', PRINT, env);
    expect(stdout).toBe('["from outside",""]\n');
  });

  it('is read once, not again by each thread', () => {
    const { stdout, status } = runWith(
      'LOG_LEVEL=debug',
      `import { rmSync, writeFileSync } from 'node:fs';
      import { Worker } from 'node:worker_threads';
      writeFileSync(${JSON.stringify(join(folder, '.env'))}, '?');
      new Worker('console.log(process.env.LOG_LEVEL)', { eval: true });`,
    );
    expect([stdout, status]).toEqual(['debug\n', 0]);
  });
});

describe('a .env', () => {
  it('with lines that are not clear starts nothing, and is exit code 78', () => {
    expect(runWith('ADMIN_TOKEN=canary\rLOG_LEVEL=debug\nLOG_LEVEL="debug\n')).toEqual({
      stdout: '',
      stderr:
        '.env line 1: has a carriage return (CR) that is not the end of a line\n' +
        '.env line 2: LOG_LEVEL has a quote that is not closed on its line\n',
      status: 78,
    });
  });

  it('of another encoding is exit code 78', () => {
    const { stderr, status } = runWith(Buffer.from('\uFEFFLOG_LEVEL=debug', 'utf16le'));
    expect([stderr, status]).toEqual(['.env line 1: is not UTF-8\n', 78]);
  });

  it('that is not there, or a folder, is none, and nothing is said of it', () => {
    rmSync(join(folder, '.env'));
    const none = { stdout: '[null,null]\n', stderr: '', status: 0 };
    expect(runNode(PRINT)).toEqual(none);
    mkdirSync(join(folder, '.env'));
    expect(runNode(PRINT)).toEqual(none);
    rmSync(join(folder, '.env'), { recursive: true });
  });
});

it('.env.example is clear, whatever somebody takes the # away from', () => {
  const example = readFileSync(`${ROOT}.env.example`, 'utf8').replace(/^# (?=[A-Z_]+=)/gm, '');
  const { values, problems } = parseEnvironmentFile(example);
  expect([Object.keys(values).length > 20, problems]).toEqual([true, []]);
});

it.each(['', 'crm-api/', 'inventory-api/', 'integration-service/'])(
  'every script of %spackage.json that reads .env reads it so',
  (path) => {
    const { scripts } = JSON.parse(readFileSync(`${ROOT}${path}package.json`, 'utf8'));
    const reading = Object.entries<string>(scripts).filter(([name]) =>
      /^(start|explain|audit|replay|lambda)$/.test(name),
    );
    for (const [name, script] of reading) {
      expect(script, name).toMatch(/ --import service-kit\/dot-env |^exec npm run --silent .* -w /);
    }
    expect(JSON.stringify(scripts)).not.toContain('--env-file');
  },
);
