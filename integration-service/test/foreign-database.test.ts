import { expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation, open } from './ledgers.ts';
import { execute } from './old-ledger.ts';

const addMigration = (name: string) => `insert into kysely_migration values ('${name}', '2026')`;

it.each(LEDGER_KINDS)(
  'a database in %s with migrations of another program is no ledger',
  async (kind) => {
    const location = await newLocation(kind);
    await execute(
      location,
      'create table kysely_migration (name text primary key, timestamp text)',
    );
    await execute(location, addMigration('001-songs'));
    await expect(open(location)).rejects.toMatchObject({
      fault: 'unusable',
      message: expect.stringMatching(
        /^The ledger .*is not one of this service: the database belongs to another program/,
      ),
    });
  },
);

it.each(LEDGER_KINDS)(
  'a ledger in %s of a newer version is told by its migration',
  async (kind) => {
    const location = await newLocation(kind);
    await (await open(location)).close();
    await execute(location, addMigration('2999-01-01-from-the-future'));
    await expect(open(location)).rejects.toMatchObject({
      fault: 'unusable',
      message: expect.stringContaining(
        'written by a newer version of this service (its migration 2999',
      ),
    });
  },
);
