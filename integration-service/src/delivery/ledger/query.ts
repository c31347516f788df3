import type { LedgerLocation } from './ledger.ts';
import { queryPostgres } from './postgres/query.ts';
import type { QueryAnswer } from './query-answer.ts';
import { querySqlite } from './sqlite/query.ts';

/**
 * Runs one statement of a person on an existing ledger, on a connection of its own that cannot write. The
 * services that work on the ledger do not wait for it.
 *
 * @throws {QueryError} when the statement is wrong, would write, or is more than one
 * @throws {LedgerError} when the ledger cannot be read
 */
export function queryLedger(location: LedgerLocation, sql: string): Promise<QueryAnswer> {
  return location.kind === 'sqlite'
    ? querySqlite(location.path, sql)
    : queryPostgres(location.url, sql);
}
