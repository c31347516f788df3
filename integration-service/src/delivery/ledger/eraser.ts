import { type Kysely, sql } from 'kysely';
import { isSqlite } from './rows.ts';
import type { LedgerTransaction } from './tables.ts';

/**
 * Removes what was scrubbed from the bytes of SQLite, too: from its write-ahead log at once, and from the file
 * when the ledger is closed or opened, and every hour. `secure_delete` alone does not: when SQLite moves rows to
 * another page, it leaves copies of them in the page where they were.
 */
export interface Eraser {
  /** Call it inside a transaction that scrubs something. */
  note(transaction: LedgerTransaction): Promise<void>;
  /** Call it after a commit that may have scrubbed something. Never throws. */
  erase(): Promise<void>;
  /** Does again what another process has prevented by reading, and writes the file anew each hour. Never throws. */
  eraseLeftover(): Promise<void>;
  /** Writes the file anew, if something was scrubbed since that was last done, and it is not too large. Never throws. */
  rewrite(): Promise<void>;
}

const REWRITE_EVERY_MS = 3_600_000;
/** All writers wait while the file is written anew: about a second for so many bytes. */
const MAX_REWRITTEN_BYTES = 100_000_000;

/** The `user_version` of a file from which something was scrubbed since it was last written anew. */
const SCRUBBED = 1;

export function createEraser(db: Kysely<unknown>, monotonicNow: () => number): Eraser {
  let isDue = false;
  let isLeft = false;
  let rewrittenAt = monotonicNow();

  async function erase(): Promise<void> {
    if (!isDue) return;
    isDue = false;
    isLeft = !(await emptyLog(db).catch(() => false));
  }

  async function rewrite(): Promise<void> {
    rewrittenAt = monotonicNow();
    // Another process may be reading, or the disk be full: it stays due.
    await rewriteFile(db, MAX_REWRITTEN_BYTES).catch(() => {});
  }

  return {
    async note(transaction) {
      isDue = true;
      if (isSqlite(transaction)) {
        await sql`pragma user_version = ${sql.lit(SCRUBBED)}`.execute(transaction);
      }
    },
    erase,
    async eraseLeftover() {
      isDue ||= isLeft;
      await erase();
      if (monotonicNow() - rewrittenAt >= REWRITE_EVERY_MS) await rewrite();
    },
    rewrite,
  };
}

/**
 * Writes SQLite's file anew, without what was scrubbed, if anything was.
 *
 * @param maxBytes a larger file is left as it is. Default: no file is
 */
export async function rewriteFile(db: Kysely<unknown>, maxBytes = Infinity): Promise<void> {
  if (!isSqlite(db)) return;
  await db.connection().execute(async (connection) => {
    const read = async (name: string) => {
      const { rows } = await sql<Record<string, number>>`pragma ${sql.raw(name)}`.execute(
        connection,
      );
      return rows[0]?.[name] ?? 0;
    };
    if ((await read('user_version')) !== SCRUBBED) return;
    if ((await read('page_count')) * (await read('page_size')) > maxBytes) return;
    await sql`vacuum`.execute(connection);
    await sql`pragma user_version = 0`.execute(connection);
  });
  await emptyLog(db);
}

/** Short: while it waits for another process that reads, all writers of this one wait. */
const WAIT_MS = 100;

/** Moves all of SQLite's write-ahead log into the file; false if another process reads it just now. */
export async function emptyLog(db: Kysely<unknown>): Promise<boolean> {
  if (!isSqlite(db)) return true;
  return db.connection().execute(async (connection) => {
    const pragma = (what: string) =>
      sql<{ timeout?: number; busy?: number }>`pragma ${sql.raw(what)}`;
    const { rows: before } = await pragma('busy_timeout').execute(connection);
    await pragma(`busy_timeout = ${WAIT_MS}`).execute(connection);
    try {
      const { rows } = await pragma('wal_checkpoint(truncate)').execute(connection);
      return rows[0]?.busy === 0;
    } finally {
      await pragma(`busy_timeout = ${before[0]?.timeout}`).execute(connection);
    }
  });
}
