import { Kysely, sql } from 'kysely';
import { expect, it, vi } from 'vitest';
import { openSqlite } from './sqlite.ts';

vi.mock('node:worker_threads', async (original) => {
  const { EventEmitter } = await import('node:events');
  /** A thread that opens its ledger, and then breaks as one does that runs out of memory. */
  class Worker extends EventEmitter {
    constructor() {
      super();
      setImmediate(() => this.emit('message', { isAlone: true }));
    }
    ref() {}
    unref() {}
    postMessage() {
      setImmediate(() => this.emit('error', new Error('out of memory')));
    }
  }
  return { ...(await original<typeof import('node:worker_threads')>()), Worker };
});

it('fails what is asked of a broken thread, and all that is asked later', async () => {
  const options = { path: '/data/ledger.sqlite', isService: true, hasThread: true };
  const { dialect, isAlone } = await openSqlite(options);
  expect(isAlone).toBe(true);
  const db = new Kysely({ dialect });
  for (let i = 0; i < 2; i++) {
    await expect(sql`select 1`.execute(db)).rejects.toMatchObject({
      fault: 'failing',
      message: 'The ledger /data/ledger.sqlite failed: Error: out of memory',
    });
  }
});
