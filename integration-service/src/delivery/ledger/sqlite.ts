import { existsSync, statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { type Dialect, SqliteAdapter, SqliteDialect } from 'kysely';
import { LedgerError } from './ledger-error.ts';

/** How long a statement waits for another process to end its transaction. */
const BUSY_TIMEOUT_MS = 5_000;

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html */
const BUSY = 5;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;
/** An extended one: no room to grow the shared memory file. */
const IOERR_SHMSIZE = 4874;

const IN_MEMORY = ':memory:';
const NO_LOCK = { isAlone: false, release() {} };
const NOTHING = { changes: 0, lastInsertRowid: 0 };

/**
 * A ledger in one SQLite file. Every access makes sure that the file is still the one that was opened:
 * SQLite itself would go on writing to a file that has been deleted.
 *
 * @throws {LedgerError} when the file cannot be used; it is left as it is
 */
export function openSqlite(
  path: string,
  { isService }: { isService: boolean },
): { dialect: Dialect; isAlone: boolean; close(): void } {
  const database = explaining(path, () => openChecked(path));
  const checkFiles = path === IN_MEMORY ? () => {} : watchFiles(path);
  const lock = isService ? explaining(path, () => takeServiceLock(path)) : NO_LOCK;
  const statements = new Map<string, StatementSync>();

  function prepare(sql: string): StatementSync {
    const known = statements.get(sql);
    if (known) return known;
    // Statements that depend on the length of a list are many.
    if (statements.size >= 500) statements.clear();
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  }

  const dialect = new SqliteDialect({
    database: {
      prepare(sql) {
        checkFiles();
        // A transaction that begins by reading cannot wait for a writer once it wants to write.
        const statement = explaining(path, () =>
          prepare(sql === 'begin' ? 'begin immediate' : sql),
        );
        return {
          reader: statement.columns().length > 0,
          all: (values) => explaining(path, () => statement.all(...(values as never[]))),
          run(values) {
            // On a full disk SQLite has rolled back by itself; to try again would hide the reason.
            if (sql === 'rollback' && !database.isTransaction) return NOTHING;
            return explaining(path, () => statement.run(...(values as never[])));
          },
          iterate: (values) =>
            statement.iterate(...(values as never[])) as IterableIterator<unknown>,
        };
      },
      close: () => database.close(),
    },
  });
  dialect.createAdapter = () => new TransactionalSqliteAdapter();
  return { dialect, isAlone: lock.isAlone, close: lock.release };
}

/** Runs all migrations in one transaction, which also keeps other processes from migrating meanwhile. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function openChecked(path: string): DatabaseSync {
  const file = path === IN_MEMORY ? undefined : statSync(path, { throwIfNoEntry: false });
  if (file?.isFile() && file.size > 0) checkContent(path);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    database.exec('pragma journal_mode = wal');
    // Not `normal`, which may lose the last commits when the power fails: a sighting must be on disk
    // before the first call about it goes out. Commits come in batches, so there are few of them.
    database.exec('pragma synchronous = full');
    // 8 and 16 MB: the ids of new customers come in no order, and touch many pages again and again.
    database.exec('pragma cache_size = -8000; pragma wal_autocheckpoint = 4000');
    // Fails here, and not at the first customer, when the file is read-only.
    database.exec('begin immediate; pragma user_version = 0; rollback');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Looks without writing: closing a connection that may write would mix the log into a broken file. */
function checkContent(path: string): void {
  const database = openReadOnly(path);
  if (!database) return;
  try {
    const tables = database.prepare("select name from sqlite_master where type = 'table'").all();
    if (tables.length > 0 && !tables.some(({ name }) => name === 'kysely_migration')) {
      throw new LedgerError(
        'unusable',
        `${path} is a SQLite database, but no ledger. Name another file in LEDGER_URL.`,
      );
    }
    const [result] = database.prepare('pragma quick_check(1)').all();
    if (result?.quick_check !== 'ok') throw corrupt(path, String(result?.quick_check));
  } finally {
    database.close();
  }
}

/** `undefined` when the file cannot be read without writing: who opens it for that is told why. */
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

/** The result throws when the file, or its write-ahead log, is no longer the one it was. */
function watchFiles(path: string): () => void {
  const files = [path, `${path}-wal`].filter((file) => existsSync(file));
  const inodes = files.map((file) => statSync(file).ino);
  return () => {
    files.forEach((file, i) => {
      if (statSync(file, { throwIfNoEntry: false })?.ino === inodes[i]) return;
      throw new LedgerError(
        'unusable',
        `The ledger ${file} was deleted or replaced while in use. Stop the service, put the file back (or leave it deleted: a new ledger asks the target what it already holds) and start again.`,
      );
    });
  };
}

/**
 * A lock that the system takes back however this process ends. Alone is who can have it exclusively:
 * no other service lives that works on this ledger. From then on it is shared.
 */
function takeServiceLock(path: string): { isAlone: boolean; release(): void } {
  if (path === IN_MEMORY) return { ...NO_LOCK, isAlone: true };
  const lock = new DatabaseSync(`${path}.lock`);
  const isAlone = tryExec(lock, 'begin exclusive; commit');
  lock.exec(`pragma busy_timeout = ${BUSY_TIMEOUT_MS}; begin`);
  lock.prepare('select count(*) from sqlite_master').get();
  return { isAlone, release: () => lock.close() };
}

function tryExec(database: DatabaseSync, sql: string): boolean {
  try {
    database.exec(sql);
    return true;
  } catch {
    return false;
  }
}

/** Runs a function; what SQLite has to say becomes one line that names the file and the remedy. */
function explaining<Result>(path: string, run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw explain(path, error);
  }
}

function explain(path: string, error: unknown): unknown {
  if (error instanceof LedgerError || !(error instanceof Error) || !('errcode' in error))
    return error;
  const code = Number(error.errcode);
  const fail = (fault: LedgerError['fault'], text: string) =>
    new LedgerError(fault, `The ledger ${path} ${text}`, { cause: error });
  if (code === IOERR_SHMSIZE) return full(path, error);
  switch (code & 0xff) {
    case BUSY:
      return fail(
        'unreachable',
        `has been locked by another process for ${BUSY_TIMEOUT_MS / 1000} s. Nothing is sent until it lets go.`,
      );
    case READONLY:
      return fail('unusable', 'is read-only. Let this user write to the file and its folder.');
    case CANTOPEN:
      return fail(
        'unusable',
        'cannot be opened. See that its folder exists and that this user may read and write there.',
      );
    case CORRUPT:
      return corrupt(path, error.message);
    case NOTADB:
      return fail(
        'unusable',
        'is no SQLite database. Restore it from a backup, or name another file in LEDGER_URL.',
      );
    case FULL:
      return full(path, error);
    case IOERR:
      return fail('failing', `cannot be trusted: the disk reports an error (${error.message}).`);
    default:
      return error;
  }
}

function full(path: string, cause: Error): LedgerError {
  return new LedgerError(
    'full',
    `The disk of the ledger ${path} is full. Nothing is sent until there is room.`,
    { cause },
  );
}

function corrupt(path: string, detail: string): LedgerError {
  return new LedgerError(
    'unusable',
    `The ledger ${path} is corrupt (${detail.split('\n')[0]}). Move it away with its -wal and -shm files, then restore it from a backup, or begin a new one, which asks the target what it already holds.`,
  );
}
