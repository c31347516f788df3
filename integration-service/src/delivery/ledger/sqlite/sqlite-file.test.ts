import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../../../test/ledgers.ts';
import { FORMER_MIGRATIONS } from '../migration-names.ts';
import { corrupt } from './sqlite-errors.ts';
import { openChecked, takeServiceLock, watchFiles } from './sqlite-file.ts';

const MIGRATIONS =
  'create table kysely_migration (name text primary key, timestamp text not null);';
const LOCK =
  'create table kysely_migration_lock (id text primary key, is_locked integer not null);';
const migrated = (...names: string[]) =>
  names.map((name) => `insert into kysely_migration values ('${name}', '');`).join('');

/** A database in which these statements were run, with an empty log. */
function makeDatabase(statements: string): string {
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const database = new DatabaseSync(path);
  database.exec(statements);
  database.close();
  return path;
}

function open(path: string): DatabaseSync {
  const database = openChecked(path, FORMER_MIGRATIONS);
  onTestFinished(() => database.close());
  return database;
}

it('refuses what is no regular file, before it waits for it', () => {
  const pipe = join(temporaryFolder(), 'ledger.sqlite');
  execFileSync('mkfifo', [pipe]);
  for (const path of [pipe, '/dev/null']) {
    expect(() => open(path)).toThrow(`The ledger ${path} is no regular file`);
  }
});

describe.each(['delete', 'wal'])(
  'with a journal of the mode %s, not a byte is changed of',
  (mode) => {
    it.each([
      ['a table of another program', 'create table songs (title text)'],
      ['a view', 'create view songs as select 1'],
      ['the mark of another program', 'pragma application_id = 7'],
      ['a version of another program', 'pragma user_version = 3'],
      ['the migrations of another program', MIGRATIONS + migrated('001-songs', '002-bands')],
      ['others, of which one is named as ours', MIGRATIONS + migrated('2026-11-22-lanes', 'songs')],
      ['no migrations yet, but tables', `${MIGRATIONS}create table songs (title text)`],
      [
        'a table named as ours',
        'create table kysely_migration (id integer); insert into kysely_migration values (1)',
      ],
    ])('a database with %s', (_, statements) => {
      const path = makeDatabase(`pragma journal_mode = ${mode}; ${statements}`);
      const before = readFileSync(path);
      expect(() => open(path)).toThrow(
        /is not one of this service: the database belongs to another program/,
      );
      expect(readFileSync(path).equals(before)).toBe(true);
      expect(existsSync(`${path}.lock`)).toBe(false);
    });

    it('a ledger of a newer version', () => {
      const path = makeDatabase(
        `pragma journal_mode = ${mode}; ${MIGRATIONS}${migrated('2026-11-20-deliveries', '2999-01-01-x')}`,
      );
      const before = readFileSync(path);
      expect(() => open(path)).toThrow(
        /written by a newer version .*\(its migration 2999-01-01-x is not known here\)/,
      );
      expect(readFileSync(path).equals(before)).toBe(true);
    });

    it('a ledger of a version before 1.0.0 that lacks a migration', () => {
      const names = FORMER_MIGRATIONS.slice(0, -1);
      const path = makeDatabase(
        `pragma journal_mode = ${mode}; ${MIGRATIONS}${migrated(...names)}`,
      );
      const before = readFileSync(path);
      expect(() => open(path)).toThrow(
        /is of a version before 1\.0\.0 that this one cannot change \(it lacks .*-28-positions\): start it once with/,
      );
      expect(readFileSync(path).equals(before)).toBe(true);
    });
  },
);

it.each([
  ['killed before its first table', 'pragma journal_mode = wal'],
  ['killed before its first migration', MIGRATIONS + LOCK],
  ['used', MIGRATIONS + migrated(...FORMER_MIGRATIONS)],
])('a ledger that was %s is opened', (_, statements) => {
  expect(open(makeDatabase(statements)).prepare('pragma journal_mode').get()).toEqual({
    journal_mode: 'wal',
  });
});

it('a database of another program is refused, also while a transaction of it waits to be rolled back', () => {
  const path = makeDatabase('create table songs (title text); insert into songs values (1)');
  const before = readFileSync(path);
  const killed = new DatabaseSync(path);
  // A cache of one page, so that some of the transaction is in the file.
  killed.exec(
    'pragma cache_size = 1; begin; with recursive n (i) as (select 1 union all select i + 1 from n where i < 9999) insert into songs select i from n',
  );
  const copy = join(temporaryFolder(), 'ledger.sqlite');
  for (const suffix of ['', '-journal'])
    writeFileSync(`${copy}${suffix}`, readFileSync(`${path}${suffix}`));
  killed.close();
  expect(() => open(copy)).toThrow(/belongs to another program/);
  expect(readFileSync(copy).equals(before)).toBe(true);
});

describe('of one file by two names', () => {
  /** A ledger, and another path to it. */
  function link(kind: 'file' | 'folder') {
    const folder = temporaryFolder();
    const path = join(folder, 'real', 'ledger.sqlite');
    mkdirSync(join(folder, 'real'));
    open(path);
    const name = kind === 'file' ? 'link.sqlite' : 'link';
    symlinkSync(kind === 'file' ? path : join(folder, 'real'), join(folder, name));
    return { path, other: join(folder, ...(kind === 'file' ? [name] : [name, 'ledger.sqlite'])) };
  }

  it.each(['file', 'folder'] as const)(
    'one service is alone, not both: a %s that is a link',
    (kind) => {
      for (const turn of [0, 1]) {
        const { path, other } = link(kind);
        const [first, second] = turn === 0 ? [path, other] : [other, path];
        const lock = takeServiceLock(first);
        open(second);
        const late = takeServiceLock(second);
        expect([lock.isAlone, late.isAlone]).toEqual([true, false]);
        lock.release();
        late.release();
        expect(takeServiceLock(second).isAlone).toBe(true);
      }
    },
  );

  it('the log is watched that SQLite writes, not one beside the link', () => {
    const { path, other } = link('file');
    const check = watchFiles(other);
    check();
    rmSync(`${path}-wal`);
    expect(check).toThrow(/ledger\.sqlite-wal was deleted or replaced/);
  });

  it('a hard link is refused: SQLite would keep a log of its own for each name', () => {
    const path = makeDatabase(MIGRATIONS + migrated(...FORMER_MIGRATIONS));
    linkSync(path, `${path}.other`);
    expect(() => open(path)).toThrow(/has 2 names \(hard links\)\. Copy it/);
    rmSync(`${path}.other`);
    open(path);
  });
});

it('corruption is described by what was found, not by the heading above it', () => {
  const detail =
    '*** in database main ***\nTree 2 page 2: btreeInitPage() returns error code 11\nmore';
  expect(corrupt('/x', detail).message).toMatch(
    /^The ledger \/x is corrupt \(Tree 2 page 2: btreeInitPage\(\) returns error code 11\)\. Move/,
  );
  expect(corrupt('/x', 'database disk image is malformed').message).toContain('(database disk');
  expect(corrupt('/x', '*** in database main ***').message).toContain('(*** in database main ***)');
});
