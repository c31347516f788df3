import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { MessagePort } from 'node:worker_threads';
import { LedgerError, type LedgerFault } from './ledger-error.ts';
import { explain } from './sqlite-errors.ts';
import { openChecked, takeServiceLock, watchFiles } from './sqlite-file.ts';

export interface ServerOptions {
  path: string;
  /** Others must know of this service, by its lock. */
  isService: boolean;
}

export type Request = { sql: string; parameters: readonly unknown[] } | 'close';

/** The rows that a statement gives, and how many others it changed. */
export interface Result {
  columns: string[];
  rows: unknown[][];
  changes: number;
}

/** The first says how the opening went; then there is one for each request, in their order. */
export type Answer =
  | { isAlone: boolean }
  | Result
  | { fault: LedgerFault | undefined; message: string; stack: string | undefined };

const NOTHING: Result = { columns: [], rows: [], changes: 0 };
const NO_LOCK = { isAlone: false, release() {} };

/** Opens a ledger for whoever is at the other end of a port, says how that went, and runs statements. */
export function serve(port: MessagePort, { path, isService }: ServerOptions): void {
  function open(): Answer {
    const database = openChecked(path);
    const run = createRunner(database, watchFiles(path));
    const lock = isService ? takeServiceLock(path) : NO_LOCK;
    port.on('message', (request: Request) => {
      if (request !== 'close') return answer(() => run(request.sql, request.parameters));
      answer(() => {
        database.close();
        lock.release();
        return NOTHING;
      });
      port.close();
    });
    return { isAlone: lock.isAlone };
  }

  /** An error would lose its class and its fields on the way: what it says is sent instead. */
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
    // Statements that depend on the length of a list are many.
    if (statements.size >= 500) statements.clear();
    const statement = database.prepare(sql);
    // The name of each column is then sent once, not with every row.
    statement.setReturnArrays(true);
    statements.set(sql, statement);
    return statement;
  }

  return (sql: string, parameters: readonly unknown[]): Result => {
    checkFiles();
    // On a full disk SQLite has rolled back by itself; to try again would hide the reason.
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
