import { type Dialect, type Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import type { Logger } from 'service-kit/logger';
import { LedgerError } from '../ledger-error.ts';

const CONNECTIONS = 4;
export const CONNECT_TIMEOUT_MS = 5_000;
/** No statement of the ledger takes this long unless the database is stuck. */
const QUERY_TIMEOUT_MS = 30_000;

/** How connections name their service; before there were several flows, the name was the first word alone. */
const APPLICATION_NAME = 'integration-service (flows)';

/**
 * A ledger in a PostgreSQL database, which any number of services may share.
 *
 * @param hasTimeout false for statements that may take long on a large ledger. Default: true
 */
export function openPostgres(url: string, log: Logger, hasTimeout = true): Dialect {
  const pool = new pg.Pool({
    connectionString: withoutName(url),
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...(hasTimeout && { query_timeout: QUERY_TIMEOUT_MS }),
    application_name: APPLICATION_NAME,
    types: {
      // Sequences, counts and times fit a number; pg would make them strings.
      getTypeParser: (oid: number, format) =>
        oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format),
    },
  });
  // A broken connection is replaced at the next use. Without listeners, its error would end the process:
  // the pool emits the error of an idle connection, the connection itself that of one in use.
  const warn = (error: Error) => log.warn(`Lost a connection to the ledger: ${error.message}`);
  pool.on('error', warn);
  pool.on('connect', (client) => client.on('error', () => {}));
  return new PostgresDialect({ pool });
}

/** A URL without a name for the connection: it would come before our name, by which another version knows us. */
export function withoutName(url: string): string {
  const connection = new URL(url);
  connection.searchParams.delete('application_name');
  return connection.href;
}

/** Whether a service of the version before there were several flows is connected to the database. */
export async function isOldServiceConnected(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql`
    select 1 from pg_stat_activity
    where datname = current_database() and application_name = 'integration-service'
    limit 1`.execute(db);
  return rows.length > 0;
}

/** How errors of `pg` itself begin, which have no code: time-outs and broken connections. */
const PG_ITSELF =
  /^(Connection terminated|timeout exceeded when|Query read timeout|Client has encountered|Cannot use a pool|Client was closed|Connection ended)/;

/**
 * The class of an error: of the database by its SQLSTATE, of the connection by the system's code. Anything else
 * was thrown by code of a flow, and is not about the database.
 */
function codeOf(error: Error): string | undefined {
  const { code } = error as { code?: string };
  if (error instanceof pg.DatabaseError || 'syscall' in error) return code;
  const inner = error instanceof AggregateError ? error.errors[0] : undefined;
  if (inner instanceof Error) return codeOf(inner);
  return PG_ITSELF.test(error.message) ? '08' : undefined;
}

/** Turns an error of `pg` into one line with its remedy; the error of a wrong statement stays as it is. */
export function explainPostgres(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof LedgerError) return error;
  const code = codeOf(error);
  const reason = (error instanceof AggregateError && error.errors[0]?.message) || error.message;
  // Class 08: connection; 57: shut down, cancelled; 53: out of resources; 40: deadlock; 25006: a standby.
  // E…: codes of the system, no connection.
  const isUnreachable = code !== undefined && /^(08|57|53|40|25006|55P03|E[A-Z])/.test(code);
  const isRefused = code !== undefined && /^(28|3D)/.test(code);
  if (isRefused) {
    return new LedgerError(
      'unusable',
      `The ledger's database refuses access: ${reason}. See LEDGER_URL.`,
      { cause: error },
    );
  }
  if (!isUnreachable) return error;
  const what = code.startsWith('40')
    ? `The ledger's database has aborted a transaction: ${reason}. It is tried again.`
    : `The ledger's database does not answer: ${reason}. Nothing is sent until it does.`;
  return new LedgerError('unreachable', what, { cause: error });
}
