import { DatabaseSync } from 'node:sqlite';
import type { Status } from '../delivery.ts';

/** What an audit distinguishes. */
export const AUDIT_KINDS = ['missing', 'doubled', 'orphaned', 'dead', 'held', 'in_flight'] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];
/** Those that do not go away by themselves. */
export const DRIFT: AuditKind[] = ['missing', 'doubled', 'orphaned', 'dead'];

const CONDITIONS: Record<AuditKind, string> = {
  missing: "in_source and packages = 0 and ifnull(status, 'delivered') = 'delivered'",
  doubled: 'packages > 1',
  orphaned: 'packages > 0 and not in_source',
  dead: "status = 'dead'",
  held: "status = 'held'",
  in_flight: "status in ('pending', 'sending', 'unknown')",
};

/**
 * A database with this table. Its empty name makes it a private file, which SQLite deletes with the connection
 * and uses only for what exceeds its cache.
 */
export function openTemporary(table: string): DatabaseSync {
  const database = new DatabaseSync('');
  database.exec(`pragma journal_mode = off; pragma synchronous = off; ${table}; begin`);
  return database;
}

/** What source, ledger and target say about each key, side by side in a temporary file. */
export interface AuditBook {
  enterSource(item: { key: string }): void;
  /** Marks a key as shown by the source, if the key is in the book already. */
  enterSourceOfKnown(item: { key: string }): void;
  enterLedger(key: string, status: Status): void;
  enterTarget(holding: { identity: string }): void;
  /** Whether the source shows a key that neither the ledger nor the target knows. */
  hasUnknown(): boolean;
  hasOrphans(): boolean;
  counts(): Record<AuditKind, number>;
  /**
   * How many keys the ledger knows, and how many of them the source shows; how many it calls delivered, and
   * how many of them the target lists.
   */
  totals(): Record<'known' | 'shown' | 'delivered' | 'listed', number>;
  /** The keys of one kind, in order. */
  keysOf(kind: AuditKind): IteratorObject<string>;
  /** Whether a key is missing, and if so, whether the ledger calls it delivered. */
  missing(key: string): 'notIngested' | 'delivered' | undefined;
  close(): void;
}

export function createAuditBook(): AuditBook {
  const database = openTemporary(`
    create table entries (
      key text primary key,
      in_source integer not null default 0,
      status text,
      packages integer not null default 0
    ) without rowid`);
  const upsert = (columns: string, values: string, update: string) =>
    database.prepare(
      `insert into entries (key, ${columns}) values (?, ${values}) on conflict do update set ${update}`,
    );
  const statements = {
    source: upsert('in_source', '1', 'in_source = 1'),
    sourceOfKnown: database.prepare('update entries set in_source = 1 where key = ?'),
    ledger: upsert('status', '?', 'status = excluded.status'),
    target: upsert('packages', '1', 'packages = packages + 1'),
  };
  const missing = database.prepare(
    `select status from entries where key = ? and ${CONDITIONS.missing}`,
  );
  const totals = database.prepare(`select
    count(status) as known,
    count(status) filter (where in_source) as shown,
    count(*) filter (where status = 'delivered') as delivered,
    count(*) filter (where status = 'delivered' and packages > 0) as listed
    from entries`);
  const exists = (condition: string) => {
    const statement = database.prepare(`select 1 from entries where ${condition} limit 1`);
    return () => statement.get() !== undefined;
  };

  return {
    enterSource: ({ key }) => void statements.source.run(key),
    enterSourceOfKnown: ({ key }) => void statements.sourceOfKnown.run(key),
    enterLedger: (key, status) => void statements.ledger.run(key, status),
    enterTarget: ({ identity }) => void statements.target.run(identity),
    hasUnknown: exists('in_source and status is null and packages = 0'),
    hasOrphans: exists(CONDITIONS.orphaned),

    counts() {
      const columns = Object.entries(CONDITIONS).map(
        ([kind, condition]) => `count(*) filter (where ${condition}) as ${kind}`,
      );
      const row = database.prepare(`select ${columns.join(', ')} from entries`).get();
      return { ...row } as Record<AuditKind, number>;
    },

    totals: () => ({ ...totals.get() }) as ReturnType<AuditBook['totals']>,

    keysOf(kind) {
      const condition = CONDITIONS[kind];
      const statement = database.prepare(`select key from entries where ${condition} order by key`);
      return statement.iterate().map(({ key }) => key as string);
    },

    missing(key) {
      const row = missing.get(key);
      return row && (row.status === null ? 'notIngested' : 'delivered');
    },

    close: () => database.close(),
  };
}
