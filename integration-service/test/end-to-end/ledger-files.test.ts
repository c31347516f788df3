import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../ledgers.ts';
import { packageRequest, startHttpServer } from '../support.ts';
import { ROOT, run, startService } from './processes.ts';

const NOBODY = 'http://127.0.0.1:1/';
const env = { CRM_API_URL: NOBODY, INVENTORY_API_URL: NOBODY };

/** A ledger with 2,000 deliveries, as a service left it. */
async function makeLedger(): Promise<string> {
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const many = JSON.stringify(Array.from({ length: 2_000 }, (_, i) => ({ id: `customer-${i}` })));
  const crmUrl = await startHttpServer((_request, response) => response.end(many));
  const service = await startService('integration-service', {
    ...env,
    CRM_API_URL: crmUrl,
    LEDGER_URL: `sqlite:${path}`,
  });
  await service.until(/Polling cycle finished/);
  await service.stop();
  return path;
}

/**
 * Starts the service on a ledger that it must refuse. Expects one line, exit code 1 and an unchanged file.
 */
async function expectRefusal(path: string, message: RegExp): Promise<void> {
  // Opening a database leaves an empty log file beside it.
  const contents = () =>
    [path, `${path}-wal`].map((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found?.isFile() && found.size > 0 ? readFileSync(file).toString('base64') : '';
    });
  const before = contents();
  const service = run(
    process.execPath,
    ['src/main.ts'],
    { ...env, INTEGRATION_SERVICE_PORT: '0', LEDGER_URL: `sqlite:${path}` },
    `${ROOT}integration-service`,
  );
  expect(await service.ended).toBe(1);
  expect(service.lines).toHaveLength(1);
  const { msg } = JSON.parse(service.lines[0] as string);
  expect(msg).toContain(path);
  expect(msg).toMatch(message);
  expect(contents().map((each, i) => each === before[i])).toEqual([true, true]);
}

describe('a ledger file that cannot be used is refused and left as it is, when it', () => {
  it('is no database', async () => {
    const path = join(temporaryFolder(), 'ledger.sqlite');
    writeFileSync(path, 'this is no database, but it is longer than one hundred bytes '.repeat(3));
    await expectRefusal(path, /is no SQLite database\. Restore it from a backup/);
  });

  it('has bytes overwritten in its middle', async () => {
    const path = await makeLedger();
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 8_192, 8_192 + 20_000);
    writeFileSync(path, bytes);
    await expectRefusal(
      path,
      /is corrupt \((?!\*\*\*).+\)\. Move it away with its -wal and -shm files, then restore/,
    );
  });

  it('has bytes overwritten, with a log beside it that is not written back yet', async () => {
    const path = await makeLedger();
    const living = new DatabaseSync(path);
    living.exec('update deliveries set updated_at = 0 where sequence = 1');
    const copy = join(temporaryFolder(), 'ledger.sqlite');
    for (const file of ['', '-wal']) copyFileSync(`${path}${file}`, `${copy}${file}`);
    living.close();
    const bytes = readFileSync(copy);
    writeFileSync(copy, bytes.fill(0x5a, 8_192, 8_192 + 20_000));
    await expectRefusal(copy, /is corrupt/);
  });

  it('has been cut off', async () => {
    const path = await makeLedger();
    truncateSync(path, Math.floor(statSync(path).size / 2));
    await expectRefusal(path, /is corrupt/);
  });

  it('is a database of something else', async () => {
    const path = join(temporaryFolder(), 'ledger.sqlite');
    const other = new DatabaseSync(path);
    other.exec('create table songs (title text)');
    other.close();
    await expectRefusal(
      path,
      /is not one of this service: the database belongs to another program, and stays as it is\. Name another/,
    );
  });

  it('was written by a newer version', async () => {
    const path = await makeLedger();
    const newer = new DatabaseSync(path);
    newer.exec(
      "insert into kysely_migration values ('2999-01-01-from-the-future', '2999-01-01T00:00:00.000Z')",
    );
    newer.close();
    await expectRefusal(path, /written by a newer version .*2999-01-01-from-the-future/);
  });

  it('is in a folder that is not there', async () => {
    await expectRefusal(
      join(temporaryFolder(), 'missing', 'ledger.sqlite'),
      /cannot be opened\. See that its folder exists/,
    );
  });

  it('is a folder', async () => {
    const path = join(temporaryFolder(), 'ledger.sqlite');
    mkdirSync(path);
    await expectRefusal(path, /cannot be opened/);
  });
});

it('a file of no bytes is a new ledger', async () => {
  const path = join(temporaryFolder(), 'ledger.sqlite');
  writeFileSync(path, '');
  const service = await startService('integration-service', {
    ...env,
    LEDGER_URL: `sqlite:${path}`,
  });
  await service.until(/The ledger is new: asking the inventory/);
});

it('a second service on the same file says that it is not alone', async () => {
  const LEDGER_URL = `sqlite:${join(temporaryFolder(), 'ledger.sqlite')}`;
  const first = await startService('integration-service', { ...env, LEDGER_URL });
  const second = await startService('integration-service', { ...env, LEDGER_URL });
  const said = /Another integration-service works with the ledger .*: the two share the work/;
  await second.until(said);
  expect(first.lines.filter((line) => said.test(line))).toEqual([]);
});

describe.runIf(process.getuid?.() === 0)('for a user who is not root', () => {
  it.each([
    ['the file', 0o444, 0o777],
    ['the folder', 0o666, 0o555],
  ])('%s that is read-only is refused', async (_, fileMode, folderMode) => {
    const path = await makeLedger();
    chmodSync(path, fileMode);
    chmodSync(join(path, '..'), folderMode);
    const nobody = run(
      process.execPath,
      ['src/main.ts'],
      { ...env, INTEGRATION_SERVICE_PORT: '0', LEDGER_URL: `sqlite:${path}` },
      `${ROOT}integration-service`,
      { uid: 65_534, gid: 65_534 },
    );
    expect(await nobody.ended).toBe(1);
    expect(nobody.lines).toHaveLength(1);
    expect(JSON.parse(nobody.lines[0] as string).msg).toMatch(/is read-only|cannot be opened/);
  });
});

it.each(['deleted', 'replaced'])(
  'a ledger that is %s while in use: not ready, says so, and nothing is sent',
  async (how) => {
    const path = join(temporaryFolder(), 'ledger.sqlite');
    const listed: { id: string }[] = [];
    const stored: unknown[] = [];
    const crmUrl = await startHttpServer((_request, response) =>
      response.end(JSON.stringify(listed)),
    );
    const inventoryUrl = await startHttpServer((request, response) => {
      if (request.method === 'GET') return response.end('[]');
      stored.push(packageRequest('?'));
      response.writeHead(201).end();
    });
    const service = await startService('integration-service', {
      CRM_API_URL: crmUrl,
      INVENTORY_API_URL: inventoryUrl,
      LEDGER_URL: `sqlite:${path}`,
      POLLING_INTERVAL_SECONDS: '0.1',
    });
    await service.until(/No new customers found/);
    // Not in an instant: a slow machine may need longer than three polling intervals for a poll.
    await expect.poll(async () => (await fetch(`${service.url}/readyz`)).status).toBe(200);
    rmSync(path);
    if (how === 'replaced') writeFileSync(path, '');
    listed.push({ id: 'a' });
    const message = `The ledger ${path} was deleted or replaced while in use.`;
    await service.until(new RegExp(message));
    const readiness = await fetch(`${service.url}/readyz`);
    expect(readiness.status).toBe(503);
    const reason = expect.stringContaining(message);
    const degraded = expect.arrayContaining([{ part: 'ledger', reason }]);
    expect(await readiness.json()).toEqual({ detail: reason, degraded });
    expect((await fetch(`${service.url}/deliveries`)).status).toBe(503);
    expect((await fetch(`${service.url}/metrics`)).status).toBe(200);
    expect(stored).toEqual([]);
    expect(await service.stop()).toBe(0);
    expect(statSync(path, { throwIfNoEntry: false })?.size ?? 0).toBe(0);
  },
);

const isRoot = process.getuid?.() === 0;

describe.runIf(isRoot)('a disk that is full', () => {
  it('keeps everything from being sent that is not written down, and all goes on when there is room', async () => {
    const folder = temporaryFolder();
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]);
    if (mounted.status !== 0) throw new Error(String(mounted.stderr));
    onTestFinished(() => {
      spawnSync('umount', ['--lazy', folder]);
    });
    const listed: { id: string }[] = [];
    const stored: string[] = [];
    const crmUrl = await startHttpServer((_request, response) =>
      response.end(JSON.stringify(listed)),
    );
    const inventoryUrl = await startHttpServer(async (request, response) => {
      if (request.method === 'GET') return response.end('[]');
      const { customer_id } = JSON.parse(String(await once(request, 'data')));
      stored.push(customer_id);
      response.writeHead(201).end(JSON.stringify(packageRequest(customer_id)));
    });
    const service = await startService('integration-service', {
      CRM_API_URL: crmUrl,
      INVENTORY_API_URL: inventoryUrl,
      LEDGER_URL: `sqlite:${join(folder, 'ledger.sqlite')}`,
      POLLING_INTERVAL_SECONDS: '0.1',
      // One log line per customer.
      LOG_LEVEL: 'debug',
    });
    await service.until(/No new customers found/);
    const filler = join(folder, 'filler');
    expect(() => writeFileSync(filler, Buffer.alloc(20_000_000))).toThrow('ENOSPC');
    listed.push(...Array.from({ length: 1_000 }, (_, i) => ({ id: `customer-${i}` })));
    await service.until(
      /The disk of the ledger .* is full\. Nothing is sent until there is room\./,
    );
    expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    expect(stored).toEqual([]);
    rmSync(filler);
    await service.until(/Successfully created package request/, 1_000);
    expect(stored.sort()).toEqual(listed.map(({ id }) => id).sort());
    await expect.poll(async () => (await fetch(`${service.url}/readyz`)).status).toBe(200);
  });
});

describe.runIf(spawnSync('strace', ['-V']).status === 0)('a disk that reports errors', () => {
  it('ends the service, which trusts nothing that it has open', async () => {
    const path = await makeLedger();
    const inject = [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'inject=fsync,fdatasync:error=EIO:when=3+',
    ];
    const crmUrl = await startHttpServer((_request, response) => response.end('[{"id":"a"}]'));
    const service = run(
      'strace',
      [...inject, '-e', 'trace=fsync,fdatasync', process.execPath, 'src/main.ts'],
      {
        ...env,
        CRM_API_URL: crmUrl,
        INTEGRATION_SERVICE_PORT: '0',
        LEDGER_URL: `sqlite:${path}`,
      },
      `${ROOT}integration-service`,
    );
    expect(await service.ended).toBe(1);
    expect(service.lines.at(-1)).toContain('cannot be trusted: the disk reports an error');
  });
});
