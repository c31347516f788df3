/**
 * A process that brings a ledger up to date and is killed before one of its statements. Prints how many there
 * were if it was not killed.
 */
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import { pino } from 'pino';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';

const { location, statement } = JSON.parse(process.argv[2] as string);
let count = 0;

function next(): void {
  if (++count === statement) process.kill(process.pid, 'SIGKILL');
}

const { prepare } = DatabaseSync.prototype;
DatabaseSync.prototype.prepare = function (this: DatabaseSync, ...values) {
  next();
  return prepare.apply(this, values);
};
const { query } = pg.Client.prototype;
pg.Client.prototype.query = function (this: pg.Client, ...values: unknown[]) {
  next();
  return Reflect.apply(query, this, values);
} as typeof query;

const ledger = await openLedger(location, pino({ level: 'silent' }), { hasThread: false });
await ledger.close();
process.stdout.write(String(count));
