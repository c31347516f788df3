import { once } from 'node:events';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { Kysely, sql } from 'kysely';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../../../test/ledgers.ts';
import { openSqlite } from './sqlite.ts';

it('fails what is asked of a broken thread, and all that is asked later', async () => {
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const started: Promise<[Worker]> = once(process, 'worker') as Promise<[Worker]>;
  const { dialect, isAlone } = await openSqlite({
    ...{ path, isService: true, hasThread: true, migrations: [] },
  });
  expect(isAlone).toBe(true);
  const [thread] = await started;
  onTestFinished(async () => {
    await thread.terminate();
  });
  const db = new Kysely({ dialect });
  await sql`select 1`.execute(db);
  // Like a thread that runs out of memory while it works.
  thread.postMessage = () => setImmediate(() => thread.emit('error', new Error('out of memory')));
  for (let i = 0; i < 2; i++) {
    await expect(sql`select 1`.execute(db)).rejects.toMatchObject({
      fault: 'failing',
      message: `The ledger ${path} failed: Error: out of memory`,
    });
  }
});
