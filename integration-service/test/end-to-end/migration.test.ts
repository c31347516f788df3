import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';
import { takeServiceLock } from '../../src/delivery/ledger/sqlite/sqlite-file.ts';
import { LEDGER_KINDS, newLocation, open } from '../ledgers.ts';
import { expectCarriedOver, writeOldLedger } from '../old-ledger.ts';
import { captureLog } from '../support.ts';

const execute = promisify(execFile);
const VICTIM = fileURLToPath(new URL('migration-victim.ts', import.meta.url));

it.each(LEDGER_KINDS)(
  'a ledger in %s whose migration is killed half way is carried over by the next start',
  async (kind) => {
    const migrate = (location: unknown, statement: number) =>
      execute(process.execPath, [VICTIM, JSON.stringify({ location, statement })]);
    const whole = await newLocation(kind);
    await writeOldLedger(whole);
    const count = Number((await migrate(whole, 0)).stdout);
    expect(count).toBeGreaterThan(20);
    for (const part of [0.3, 0.5, 0.7, 0.9]) {
      const location = await newLocation(kind);
      await writeOldLedger(location);
      const killed = migrate(location, Math.round(count * part));
      await expect(killed).rejects.toMatchObject({ signal: 'SIGKILL' });
      await expectCarriedOver(await open(location));
    }
  },
);

it('says what it does with an old ledger, and when it is done', async () => {
  const location = await newLocation('sqlite');
  await writeOldLedger(location);
  const { log, messages } = captureLog();
  const ledger = await openLedger(location, log, { hasThread: false });
  onTestFinished(() => ledger.close());
  expect(messages('info')).toEqual([
    expect.stringMatching(/^The ledger .* is of an older version: changing its tables\. /),
    expect.stringMatching(/^The ledger .* is of this version now\.$/),
  ]);
});

it.each(LEDGER_KINDS)(
  'a ledger in %s that a service of the old version uses is left alone',
  async (kind) => {
    const location = await newLocation(kind);
    await writeOldLedger(location);
    const end = await useAsOldService(location);
    await expect(open(location)).rejects.toMatchObject({
      fault: 'unusable',
      message: expect.stringMatching(
        /is used by a service of an older version\. Stop all services/,
      ),
    });
    await end();
    await expectCarriedOver(await open(location));
  },
);

/** Does what tells others that a service of the old version is at work; returns how to end it. */
async function useAsOldService(location: Parameters<typeof open>[0]): Promise<() => Promise<void>> {
  if (location.kind === 'postgres') {
    const { url } = location;
    const client = new pg.Client({
      connectionString: url,
      application_name: 'integration-service',
    });
    await client.connect();
    return () => client.end();
  }
  const lock = takeServiceLock(location.path);
  return async () => lock.release();
}
