import { dirname } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { LedgerError } from '../ledger-error.ts';
import { IN_MEMORY } from './sqlite-file.ts';
import {
  type Answer,
  type Request,
  type Result,
  type ServerOptions,
  serve,
} from './sqlite-server.ts';

export interface SqliteOptions extends ServerOptions {
  /**
   * Runs SQLite in a thread of its own, because each commit waits for the disk. Without it, the calling
   * thread waits.
   */
  hasThread: boolean;
}

/**
 * Opens a ledger in one SQLite file.
 *
 * @throws {LedgerError} when the file cannot be used; the file stays as it is
 */
export async function openSqlite(
  options: SqliteOptions,
): Promise<{ dialect: Dialect; isAlone: boolean }> {
  // To write a file anew takes as much room: a container may have none but where its ledger is.
  if (options.path !== IN_MEMORY) process.env.SQLITE_TMPDIR ??= dirname(options.path);
  const server = startServer(options);
  const { isAlone } = await server.answer<{ isAlone: boolean }>();
  return { dialect: dialectOf(server), isAlone };
}

type Server = ReturnType<typeof startServer>;

function startServer({ hasThread, ...options }: SqliteOptions) {
  const port = hasThread ? startThread(options) : serveHere(options);
  const waiting: PromiseWithResolvers<Answer>[] = [];
  let death: LedgerError | undefined;

  port.on('message', (answer: Answer) => {
    if (waiting.length === 1) port.unref();
    waiting.shift()?.resolve(answer);
  });
  function end(error: LedgerError): void {
    death ??= error;
    for (const each of waiting.splice(0)) each.reject(death);
  }
  port.once('error', (cause) =>
    end(new LedgerError('failing', `The ledger ${options.path} failed: ${cause}`, { cause })),
  );
  port.once(hasThread ? 'exit' : 'close', () =>
    end(new LedgerError('failing', `The ledger ${options.path} is closed.`)),
  );

  /** The server's next answer. The process does not end while an answer is awaited. */
  async function answer<Expected extends Answer>(): Promise<Expected> {
    const next = Promise.withResolvers<Answer>();
    waiting.push(next);
    port.ref();
    const received = await next.promise;
    if (!('message' in received)) return received as Expected;
    const { fault, message, stack } = received;
    throw fault ? new LedgerError(fault, message) : new Error(message, { cause: stack });
  }

  return {
    answer,
    async ask<Expected extends Answer>(request: Request): Promise<Expected> {
      if (death) throw death;
      port.postMessage(request, []);
      return answer();
    },
  };
}

function startThread(options: ServerOptions): Worker {
  const file = new URL('sqlite-thread.ts', import.meta.url);
  return new Worker(file, { name: 'ledger', workerData: options });
}

function serveHere(options: ServerOptions): MessagePort {
  const { port1, port2 } = new MessageChannel();
  serve(port2, options);
  port2.unref();
  return port1;
}

function dialectOf({ ask }: Server): Dialect {
  const connection: DatabaseConnection = {
    async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
      const { columns, rows, changes } = await ask<Result>({ sql, parameters });
      return {
        rows: rows.map((row) => toObject<Row>(columns, row)),
        numAffectedRows: BigInt(changes),
      };
    },
    streamQuery() {
      throw new Error('Statements are answered whole.');
    },
  };
  const execute = (sql: string) => async (on: DatabaseConnection) => {
    await on.executeQuery(CompiledQuery.raw(sql));
  };
  const driver: Driver = {
    async init() {},
    acquireConnection: async () => connection,
    async releaseConnection() {},
    // Immediate: a transaction that begins by reading cannot wait for another writer when it wants to
    // write.
    beginTransaction: execute('begin immediate'),
    commitTransaction: execute('commit'),
    rollbackTransaction: execute('rollback'),
    async destroy() {
      await ask('close');
    },
  };
  return {
    createDriver: () => driver,
    createAdapter: () => new TransactionalSqliteAdapter(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/**
 * Runs all migrations in one transaction, which also keeps other processes from migrating at the same time.
 */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function toObject<Row>(names: string[], values: unknown[]): Row {
  const row: Record<string, unknown> = {};
  names.forEach((name, i) => {
    row[name] = values[i];
  });
  return row as Row;
}
