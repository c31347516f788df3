import pg from 'pg';
import { type QueryAnswer, QueryError, refuseToWrite } from '../query-answer.ts';
import { CONNECT_TIMEOUT_MS, explainPostgres, withoutName } from './postgres.ts';

/** SQLSTATE read_only_sql_transaction. */
const READ_ONLY = '25006';

const { builtins } = pg.types;
/** Times are shown as the database writes them: a `Date` has no microseconds. */
const TIMES: number[] = [builtins.DATE, builtins.TIMESTAMP, builtins.TIMESTAMPTZ];

export async function queryPostgres(url: string, sql: string): Promise<QueryAnswer> {
  const client = new pg.Client({
    connectionString: withoutName(url),
    application_name: 'integration-service (sql)',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    types: {
      getTypeParser: (oid: number, format) => {
        if (oid === builtins.INT8) return BigInt;
        return TIMES.includes(oid) ? String : pg.types.getTypeParser(oid, format);
      },
    },
  });
  // A connection that breaks rejects the query, too.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('begin read only');
    // Extended: of several statements, the first could end the transaction that keeps others from writing.
    const config = { text: sql, rowMode: 'array', queryMode: 'extended' } as const;
    const { fields, rows } = await client.query(config);
    if (fields.length === 0) refuseToWrite();
    return { columns: fields.map(({ name }) => name), rows };
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === READ_ONLY) refuseToWrite();
    const explained = explainPostgres(error);
    if (explained !== error || !(error instanceof pg.DatabaseError)) throw explained;
    throw new QueryError(error.message, { cause: error });
  } finally {
    await client.end().catch(() => {});
  }
}
