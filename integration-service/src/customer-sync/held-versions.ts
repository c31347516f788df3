import { openTemporary } from '../delivery/audit/audit-book.ts';

/** The versions that the CRM has, in a temporary file: a million customers need no memory. */
export interface HeldVersions {
  /** Of a customer who comes twice, the later version counts. */
  add(id: string, version: number | undefined): void;
  /** The version of a customer, `null` if the CRM does not say; `undefined` if it does not have it. */
  find(id: string): number | null | undefined;
  /** Up to `limit` of those that were not found, in the order of their ids, behind `after`. */
  rest(limit: number, after: string): { id: string; version: number | null }[];
  close(): void;
}

export function createHeldVersions(): HeldVersions {
  const database = openTemporary(
    'create table held (id text primary key, version integer, is_found integer) without rowid',
  );
  const insert = database.prepare(`insert into held (id, version) values (?, ?)
    on conflict do update set version = max(version, excluded.version)`);
  const find = database.prepare('update held set is_found = 1 where id = ? returning version');
  const rest = database.prepare(`select id, version from held
    where is_found is null and id > ? order by id limit ?`);
  return {
    add: (id, version) => void insert.run(id, version ?? null),
    find: (id) => find.get(id)?.version as number | null | undefined,
    rest: (limit, after) => rest.all(after, limit) as { id: string; version: number | null }[],
    close: () => database.close(),
  };
}
