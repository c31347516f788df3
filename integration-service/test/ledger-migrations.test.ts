import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { describe, expect, it } from 'vitest';
import type { LedgerLocation } from '../src/delivery/ledger/ledger.ts';
import { MIGRATIONS } from '../src/delivery/ledger/migrations.ts';
import { openPostgres } from '../src/delivery/ledger/postgres/postgres.ts';
import { fingerprintOf } from '../src/delivery/ledger/record-identity.ts';
import { openSqlite } from '../src/delivery/ledger/sqlite/sqlite.ts';
import { LEDGER_KINDS, newLocation, open, SOURCE } from './ledgers.ts';
import { expectCarriedOver, writeOldLedger } from './old-ledger.ts';
import { captureLog } from './support.ts';

const FLOW = 'a-flow';
const OF = { flow: FLOW, source: SOURCE };

/** Rejected records as they used to be kept. */
interface OldTables {
  rejected_records: {
    leg: string;
    fingerprint: string;
    record: string;
    reason: string;
    first_seen_at: number;
  };
}

/** A ledger as the service wrote it before a date, with whatever the test puts into it. */
async function openOld(location: LedgerLocation, before: string): Promise<Kysely<OldTables>> {
  const { dialect } =
    location.kind === 'sqlite'
      ? await openSqlite({
          ...{ path: location.path, isService: false, hasThread: false, flowMigrations: [] },
        })
      : { dialect: openPostgres(location.url, captureLog().log) };
  const db = new Kysely<OldTables>({ dialect });
  const old = Object.entries(MIGRATIONS).filter(([name]) => name < before);
  const provider = { getMigrations: async () => Object.fromEntries(old) };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  if (error) throw error;
  return db;
}

/** Whole records as they used to be kept: the JSON of the record, or its beginning. */
function whole(record: unknown, first_seen_at: number) {
  const text = JSON.stringify(record).slice(0, 500);
  const fingerprint = createHash('sha256').update(text).digest('hex');
  return { leg: FLOW, fingerprint, record: text, reason: 'its id is not a string', first_seen_at };
}

describe.each(LEDGER_KINDS)('a ledger in %s that has whole records', (kind) => {
  it('keeps of them what tells them apart, and nothing of their content', async () => {
    const location = await newLocation(kind);
    const db = await openOld(location, '2026-11-28');
    const jane = (id: number) => ({ id, name: 'Jane Doe', email: `jane${id}@example.com` });
    // Enough records to split pages, of which SQLite leaves copies behind.
    const records = Array.from({ length: 300 }, (_, id) => ({ ...jane(id), a: 'b'.repeat(id) }));
    const cutOff = { ...jane(999), note: 'c'.repeat(500) };
    await db
      .insertInto('rejected_records')
      .values([...records, cutOff].map(whole))
      .execute();
    await db.destroy();

    const ledger = await open(location);
    const kept = await ledger.rejectedRecords(OF, 999);
    const reason = 'its id is not a string';
    const known = { position: null, reason, isAccepted: false };
    expect(kept).toHaveLength(301);
    expect(kept).toContainEqual({ ...known, fingerprint: fingerprintOf(records[7]), id: '7' });
    expect(kept.filter(({ id }) => id === null)).toHaveLength(1);
    // Records that are still in the list are not reported again.
    const again = records.map((record, position) => {
      return { fingerprint: fingerprintOf(record), position, id: null, reason };
    });
    expect(await ledger.reject(OF, again, 1)).toEqual([]);
    if (location.kind === 'postgres') return;
    const files = [location.path, `${location.path}-wal`].filter((file) => existsSync(file));
    for (const file of files) expect(/jane/i.test(readFileSync(file, 'latin1'))).toBe(false);
  });
});

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
  },
);
