import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';

/** Where the ledger of one cell is. */
export interface LedgerPlace {
  /** For `LEDGER_URL`. */
  url: string;
  /** Does away with it. */
  drop(): Promise<void>;
}

/** A SQLite file, which goes with its folder, or a database of its own on the server at `server`. */
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

/** How many connections a PostgreSQL server takes; throws when it cannot be reached. */
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
