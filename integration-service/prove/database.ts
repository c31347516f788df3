import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** A database of its own on a PostgreSQL server. */
export interface Database {
  name: string;
  url: string;
  drop(): Promise<void>;
}

/** @param server the URL of the server */
export async function createDatabase(server: string): Promise<Database> {
  const url = new URL(server);
  const name = `prove_${randomUUID().replaceAll('-', '')}`;
  url.pathname = name;
  await query(server, `create database ${name}`);
  return {
    ...{ name, url: url.href },
    drop: () => query(server, `drop database ${name} with (force)`),
  };
}

async function query(server: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: server, connectionTimeoutMillis: 5_000 });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
