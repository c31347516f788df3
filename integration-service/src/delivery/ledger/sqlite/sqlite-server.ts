import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { MessagePort } from 'node:worker_threads';
import { LedgerError, type LedgerFault } from '../ledger-error.ts';
import { explain } from './sqlite-errors.ts';
import { openChecked, takeServiceLock, watchFiles } from './sqlite-file.ts';

export interface ServerOptions {
  path: string;
  /** Keeps the service lock, so that other services know of this one. */
  isService: boolean;
  /** The names of the migrations that this code knows. */
  migrations: string[];
}

export type Request = { sql: string; parameters: readonly unknown[] } | 'close';

/** The rows that a statement returns, or how many rows it changed if it returns none. */
export interface Result {
  columns: string[];
  rows: unknown[][];
  changes: number;
}

/** The first answer says how the opening went; then there is one for each request, in order. */
export type Answer =
  | { isAlone: boolean }
  | Result
  | { fault: LedgerFault | undefined; message: string; stack: string | undefined };

const NOTHING: Result = { columns: [], rows: [], changes: 0 };

/** Opens a ledger for the other end of a port, reports how that went, and runs statements. */
export function serve(port: MessagePort, options: ServerOptions): void {
  const { path, isService, migrations } = options;

  function open(): Answer {
    const database = openChecked(path, migrations);
    const run = createRunner(database, watchFiles(path));
    const lock = takeServiceLock(path);
    if (!isService) lock.release();
    port.on('message', (request: Request) => {
      if (request !== 'close') return answer(() => run(request.sql, request.parameters));
      answer(() => {
        database.close();
        if (isService) lock.release();
        return NOTHING;
      });
      port.close();
    });
    return { isAlone: lock.isAlone };
  }

  /**
   * An error would lose its class and its fields on the way: its fault, message and stack are sent instead.
   */
  function answer(run: () => Answer): void {
    try {
      port.postMessage(run());
    } catch (error) {
      const explained = explain(path, error);
      const fault = explained instanceof LedgerError ? explained.fault : undefined;
      const { message, stack } = explained as Error;
      port.postMessage({ fault, message, stack } satisfies Answer);
    }
  }

  answer(open);
}

function createRunner(database: DatabaseSync, checkFiles: () => void) {
  const statements = new Map<string, StatementSync>();

  function prepare(sql: string): StatementSync {
    const known = statements.get(sql);
    if (known) return known;
    // There are many statements that depend on the length of a list.
    if (statements.size >= 500) statements.clear();
    const statement = database.prepare(sql);
    // With arrays, the name of each column is sent once, not with every row.
    statement.setReturnArrays(true);
    statements.set(sql, statement);
    return statement;
  }

  return (sql: string, parameters: readonly unknown[]): Result => {
    // Nothing is on the disk before the commit.
    if (!database.isTransaction || sql === 'commit') checkFiles();
    // On a full disk, SQLite has already rolled back; a second rollback would hide the reason.
    if (sql === 'rollback' && !database.isTransaction) return NOTHING;
    const statement = prepare(sql);
    const columns = statement.columns().map(({ name }) => name);
    const values = parameters as SQLInputValue[];
    if (columns.length === 0) {
      return { ...NOTHING, changes: Number(statement.run(...values).changes) };
    }
    return { columns, rows: statement.all(...values) as unknown as unknown[][], changes: 0 };
  };
}
