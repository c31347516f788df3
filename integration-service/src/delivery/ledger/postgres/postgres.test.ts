import pg from 'pg';
import { expect, it } from 'vitest';
import { explainPostgres } from './postgres.ts';

const databaseError = (code: string, message: string) =>
  Object.assign(new pg.DatabaseError(message, message.length, 'error'), { code });

it.each([
  ['40P01', 'deadlock detected', 'has aborted a transaction: deadlock detected. It is tried again'],
  ['57P01', 'terminating connection', 'does not answer: terminating connection. Nothing is sent'],
  ['28P01', 'wrong password', 'refuses access: wrong password. See LEDGER_URL'],
])('an error %s of the database says what it means', (code, reason, explained) => {
  expect(explainPostgres(databaseError(code, reason))).toMatchObject({
    name: 'LedgerError',
    message: expect.stringContaining(explained),
  });
});

it('an error of a wrong statement stays as it is', () => {
  const error = databaseError('42601', 'syntax error');
  expect(explainPostgres(error)).toBe(error);
});
