import { randomUUID } from 'node:crypto';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** The ledger of one stage. */
export interface ProvedLedger {
  /** For `LEDGER_URL`. */
  url: string;
  /** How the report calls it; `undefined` if it is in the folder of the stage. */
  name: string | undefined;
  /** Runs a statement that only reads. The service must run: SQLite has files that only a writer creates. */
  query(statement: string): Promise<Record<string, unknown>[]>;
  /** Copies it as it is. The service must not run. */
  backUp(): Promise<void>;
  /** Puts the last copy in its place. The service must not run. */
  restore(): Promise<void>;
  drop(): Promise<void>;
}

/** What SQLite keeps of one database. */
const PARTS = ['', '-wal', '-shm'];

/** @param folder where its files are; who removes them removes the ledger */
export function createSqliteLedger(folder: string): ProvedLedger {
  const path = join(folder, 'ledger.sqlite');
  const copy = join(folder, 'backup.sqlite');
  async function replace(from: string, to: string): Promise<void> {
    for (const part of PARTS) {
      rmSync(to + part, { force: true });
      if (existsSync(from + part)) copyFileSync(from + part, to + part);
    }
  }
  return {
    ...{ url: `sqlite:${path}`, name: undefined },
    async query(statement) {
      using database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
      return database.prepare(statement).all();
    },
    backUp: () => replace(path, copy),
    restore: () => replace(copy, path),
    async drop() {},
  };
}

/** How long PostgreSQL may take to notice that the processes that were killed are gone. */
const LEAVE_DEADLINE_MS = 20_000;
const IN_USE = '55006';

/**
 * A database of its own on a PostgreSQL server.
 *
 * @param server the URL of the server
 */
export async function createPostgresLedger(server: string): Promise<ProvedLedger> {
  const url = new URL(server);
  const name = `prove_${randomUUID().replaceAll('-', '')}`;
  url.pathname = name;
  const backup = `${name}_backup`;
  const drop = (database: string) =>
    query(server, `drop database if exists ${database} with (force)`);

  async function copy(from: string, to: string): Promise<void> {
    await drop(to);
    const deadline = performance.now() + LEAVE_DEADLINE_MS;
    for (;;) {
      try {
        await query(server, `create database ${to} template ${from}`);
        return;
      } catch (error) {
        if ((error as { code?: string }).code !== IN_USE || performance.now() > deadline)
          throw error;
        await sleep(50);
      }
    }
  }

  await query(server, `create database ${name}`);
  return {
    ...{ url: url.href, name },
    query: (statement) => query(url.href, statement),
    backUp: () => copy(name, backup),
    restore: () => copy(backup, name),
    async drop() {
      await drop(backup);
      await drop(name);
    },
  };
}

async function query(database: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database, connectionTimeoutMillis: 5_000 });
  await client.connect();
  const { rows } = await client.query(sql).finally(() => client.end());
  return rows;
}
