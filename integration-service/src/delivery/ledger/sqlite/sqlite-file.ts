import { existsSync, realpathSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { LedgerError } from '../ledger-error.ts';
import { checkMigrations, MIGRATION_TABLE, noLedger } from '../migration-names.ts';
import { BUSY_TIMEOUT_MS, CANTOPEN, corrupt, READONLY } from './sqlite-errors.ts';

export const IN_MEMORY = ':memory:';

/**
 * Opens the file of a ledger; creates it if there is none.
 *
 * @param migrations the names of those that this code knows
 * @throws {LedgerError} when the file is no ledger, is of a newer version, or is corrupt; the file stays as
 *   it is
 */
export function openChecked(path: string, migrations: readonly string[]): DatabaseSync {
  const file = path === IN_MEMORY ? undefined : statSync(path, { throwIfNoEntry: false });
  // SQLite would keep a separate log for each name of the file, and services would take separate locks.
  if (file?.isFile() && file.nlink > 1) {
    throw new LedgerError(
      'unusable',
      `The ledger ${path} has ${file.nlink} names (hard links). Copy it to a file of its own, or remove the other names.`,
    );
  }
  if (file && !file.isFile() && !file.isDirectory()) {
    throw new LedgerError(
      'unusable',
      `The ledger ${path} is no regular file. Name one in LEDGER_URL.`,
    );
  }
  // Read-only: closing a connection that may write would merge the log into a corrupt file.
  const reader = file?.isFile() && file.size > 0 ? openReadOnly(path) : undefined;
  if (reader) {
    try {
      checkContent(path, reader, migrations);
    } finally {
      reader.close();
    }
  }
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    // The file was missing or empty, or it must be written to be read: it has a transaction to be rolled
    // back.
    if (!reader) checkContent(path, database, migrations);
    database.exec('pragma journal_mode = wal');
    // Not `normal`, which may lose the last commits in a power failure: an item must be on disk before
    // the first call about it is made. Commits come in batches, so there are few of them.
    database.exec('pragma synchronous = full');
    // What is removed of a person must not stay in free pages of the file.
    database.exec('pragma secure_delete = on');
    // 8 and 16 MB: the ids of new customers come in random order, and touch many pages again and again.
    database.exec('pragma cache_size = -8000; pragma wal_autocheckpoint = 4000');
    // When the file is read-only, this fails here and not at the first customer.
    database.exec('begin immediate; pragma user_version = 0; rollback');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function checkContent(path: string, database: DatabaseSync, known: readonly string[]): void {
  const names = database.prepare('select name from sqlite_master').all();
  const has = (table: string) => names.some(({ name }) => name === table);
  const migrations = has(MIGRATION_TABLE)
    ? database.prepare(`select * from ${MIGRATION_TABLE}`).all()
    : [];
  const ledgerName = `The ledger ${path}`;
  const executed = migrations.map(({ name }) => String(name));
  checkMigrations(ledgerName, executed, known);
  // If a service is killed while it creates its ledger, the file has the tables of its migrations, or
  // nothing.
  const isBeginning = names.every(({ name }) => /^(kysely_|sqlite_)/.test(String(name)));
  if (migrations.length === 0 && (!isBeginning || isMarked(database))) throw noLedger(ledgerName);
  const [result] = database.prepare('pragma quick_check(1)').all();
  if (result?.quick_check !== 'ok') throw corrupt(path, String(result?.quick_check));
}

/** Other programs write their mark into the header of a database; a ledger has none. */
function isMarked(database: DatabaseSync): boolean {
  return ['application_id', 'user_version'].some(
    (mark) => database.prepare(`pragma ${mark}`).get()?.[mark] !== 0,
  );
}

/** `undefined` when the file cannot be read without writing; opening it for writing then says why. */
function openReadOnly(path: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, readOnly: true });
    database.prepare('select count(*) from sqlite_master').get();
    return database;
  } catch (error) {
    database?.close();
    const code = Number((error as { errcode?: number }).errcode) & 0xff;
    if (code === READONLY || code === CANTOPEN) return undefined;
    throw error;
  }
}

/**
 * Returns a function that throws a `LedgerError` when the file, or its write-ahead log, was deleted or
 * replaced. SQLite itself would go on writing to a deleted file.
 */
export function watchFiles(path: string): () => void {
  if (path === IN_MEMORY) return () => {};
  // SQLite keeps its log beside the real file, not beside a link to it.
  const files = [path, `${realpathSync(path)}-wal`].filter((file) => existsSync(file));
  const inodes = files.map((file) => statSync(file).ino);
  return () => {
    files.forEach((file, i) => {
      if (statSync(file, { throwIfNoEntry: false })?.ino === inodes[i]) return;
      throw new LedgerError(
        'unusable',
        `The ledger ${file} was deleted or replaced while in use. Stop the service, put the file back and start again. A new ledger asks the inventory what it already holds, but has none of the shop's customers.`,
      );
    });
  };
}

/**
 * Takes a lock that the system releases however this process ends. `isAlone` says that the lock could be
 * had exclusively: no other running service works on this ledger. From then on, the lock is shared.
 */
export function takeServiceLock(path: string): { isAlone: boolean; release(): void } {
  if (path === IN_MEMORY) return { isAlone: true, release() {} };
  // One lock per file, whichever link to it a service uses.
  const lock = new DatabaseSync(`${realpathSync(path)}.lock`);
  let isAlone = true;
  try {
    lock.exec('begin exclusive; commit');
  } catch {
    isAlone = false;
  }
  lock.exec(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}; begin`);
  lock.prepare('select count(*) from sqlite_master').get();
  return { isAlone, release: () => lock.close() };
}
