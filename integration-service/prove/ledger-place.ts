import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';

/** Where a ledger is. Disposing of it removes the ledger. */
export interface LedgerPlace extends AsyncDisposable {
  /** The value of `LEDGER_URL`. */
  url: string;
}

/** A SQLite file, which is removed with its folder, or a new database on the server at `server`. */
export async function createLedgerPlace(
  folder: string,
  server: string | undefined,
): Promise<LedgerPlace> {
  if (!server) {
    return { url: `sqlite:${join(folder, 'ledger.sqlite')}`, async [Symbol.asyncDispose]() {} };
  }
  const url = new URL(server);
  const name = `prove_${randomUUID().replaceAll('-', '')}`;
  url.pathname = `/${name}`;
  await query(server, `create database ${name}`);
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => query(server, `drop database ${name} with (force)`),
  };
}

async function query(server: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: server, connectionTimeoutMillis: 5_000 });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
