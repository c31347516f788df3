/** What a statement returns. The values are those of the database's driver. */
export interface QueryAnswer {
  columns: string[];
  rows: unknown[][];
}

/** A statement cannot be run. The message is the database's own, or says what is wrong with the statement. */
export class QueryError extends Error {
  override readonly name = 'QueryError';
  readonly code = 'QUERY_REFUSED';
}

export function refuseToWrite(): never {
  throw new QueryError('Only what reads is run: this statement would write, or returns nothing.');
}
