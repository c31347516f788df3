import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';

/** Where the ledger of one cell is. */
export interface LedgerPlace {
  /** The value of `LEDGER_URL`. */
  url: string;
  /** Removes the ledger. */
  drop(): Promise<void>;
}

/** A SQLite file, which is removed with its folder, or a new database on the server at `server`. */
export async function createLedgerPlace(
  folder: string,
  server: string | undefined,
): Promise<LedgerPlace> {
  if (!server) return { url: `sqlite:${join(folder, 'ledger.sqlite')}`, async drop() {} };
  const name = `prove_${randomUUID().replaceAll('-', '')}`;
  await query(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    async drop() {
      await query(server, `drop database ${name} with (force)`);
    },
  };
}

/** The maximum number of connections of a PostgreSQL server; throws if the server cannot be reached. */
export async function countConnections(server: string): Promise<number> {
  const [row] = await query(server, 'show max_connections');
  return Number(row?.max_connections);
}

async function query(server: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
