import { describe, expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation, open } from './ledgers.ts';
import { execute, expectCarriedOver, writeOldLedger } from './old-ledger.ts';

describe.each(LEDGER_KINDS)(
  'a ledger in %s of the version before there were several flows',
  (kind) => {
    it('is carried over whole: deliveries, histories, positions, rejects, pauses, the last audit', async () => {
      const location = await newLocation(kind);
      await writeOldLedger(location);
      const ledger = await open(location);
      await expectCarriedOver(ledger);
      await ledger.close();
      // Nothing is left to be changed at the next start.
      await expectCarriedOver(await open(location));
    });

    it('numbers new deliveries after those that are carried over', async () => {
      const location = await newLocation(kind);
      await writeOldLedger(location);
      const ledger = await open(location);
      await ledger.ingest(
        { name: 'other', supersedes: false, hasOwnKeys: false, keepsLabels: false },
        async () => [{ key: 'new', lane: 'new', payload: '{}' }],
        { now: 1 },
      );
      expect((await ledger.list({ flow: 'other' }, 9)).map(({ sequence }) => sequence)).toEqual([
        10,
      ]);
    });

    it('is left alone if it lacks a migration that this version does not have any more', async () => {
      const location = await newLocation(kind);
      await writeOldLedger(location);
      await execute(location, `delete from kysely_migration where name = '2026-11-28-positions'`);
      await expect(open(location)).rejects.toMatchObject({
        fault: 'unusable',
        message: expect.stringMatching(
          /^The ledger .*is of a version before 1\.0\.0 that this one cannot change \(it lacks the migration 2026-11-28-positions\): /,
        ),
      });
      await execute(
        location,
        `insert into kysely_migration values ('2026-11-28-positions', '2026')`,
      );
      await expectCarriedOver(await open(location));
    });
  },
);
