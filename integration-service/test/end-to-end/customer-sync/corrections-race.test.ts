import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../../ledgers.ts';
import { JANE, setUpShop } from './set-up.ts';

it.runIf(LEDGER_KINDS.includes('postgres'))(
  'nothing is sent again that a change replaces at the same moment',
  async () => {
    const location = await newLocation('postgres');
    const { create, deliver, put, ledger, versions, now } = await setUpShop({ ledger: location });
    const { id } = await create();
    await deliver();
    const client = new pg.Client({ connectionString: 'url' in location ? location.url : '' });
    await client.connect();
    onTestFinished(() => client.end());
    const waiting = async () => {
      const { rows } = await client.query(
        `select 1 from pg_locks join pg_database on pg_database.oid = pg_locks.database
         where datname = current_database() and not granted`,
      );
      return rows.length;
    };
    // A change stops right before its end, in the hands of another who has locked the customer.
    await client.query('begin');
    await client.query(
      'create function wait() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return null; end $$',
    );
    await client.query(
      'create trigger wait after insert on deliveries for each row execute function wait()',
    );
    await client.query('commit');
    await client.query('select pg_advisory_lock(7)');
    const changed = put(id, { ...JANE, name: 'Jane Roe' });
    await expect.poll(waiting).toBe(1);
    const again = ledger.sendAgain('customer-sync', new Map([[`${id}:1`, 'lost']]), { now: now() });
    await Promise.race([again, expect.poll(waiting).toBe(2)]);
    await client.query('select pg_advisory_unlock(7)');
    expect((await changed).statusCode).toBe(200);
    expect(await again).toBe(0);
    await deliver();
    expect(await versions()).toEqual(['1 delivered', '2 delivered']);
  },
);
