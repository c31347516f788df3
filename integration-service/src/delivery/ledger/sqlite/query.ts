import { DatabaseSync } from 'node:sqlite';
import { type QueryAnswer, QueryError, refuseToWrite } from '../query-answer.ts';
import { BUSY_TIMEOUT_MS, explain, READONLY } from './sqlite-errors.ts';

/** Blanks, comments and semicolons. */
const NOTHING_MORE = /^(\s|;|--[^\n]*(\n|$)|\/\*.*?\*\/)*$/s;

export async function querySqlite(path: string, sql: string): Promise<QueryAnswer> {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    const statement = database.prepare(sql);
    if (
      !NOTHING_MORE.test(sql.slice(sql.indexOf(statement.sourceSQL) + statement.sourceSQL.length))
    )
      throw new QueryError('One statement at a time, please.');
    statement.setReturnArrays(true);
    statement.setReadBigInts(true);
    const columns = statement.columns().map(({ name }) => name);
    if (columns.length === 0) refuseToWrite();
    return { columns, rows: statement.all() as unknown as unknown[][] };
  } catch (error) {
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
    if (code === READONLY) refuseToWrite();
    const explained = explain(path, error);
    if (explained !== error || !(error instanceof Error)) throw explained;
    throw new QueryError(error.message, { cause: error });
  } finally {
    database?.close();
  }
}
