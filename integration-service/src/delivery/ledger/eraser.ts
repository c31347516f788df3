import { type Kysely, sql } from 'kysely';
import { isSqlite } from './rows.ts';

/** Removes what was scrubbed from SQLite's write-ahead log, too. */
export interface Eraser {
  /** Call it inside a transaction that scrubs something. */
  note(): void;
  /** Call it after a commit that may have scrubbed something. Never throws. */
  erase(): Promise<void>;
  /** Does it again, if another process that was reading has prevented it. */
  eraseLeftover(): Promise<void>;
}

export function createEraser(db: Kysely<unknown>): Eraser {
  let isDue = false;
  let isLeft = false;
  async function erase(): Promise<void> {
    if (!isDue) return;
    isDue = false;
    isLeft = !(await emptyLog(db).catch(() => false));
  }
  return {
    note() {
      isDue = true;
    },
    erase,
    async eraseLeftover() {
      isDue ||= isLeft;
      await erase();
    },
  };
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
