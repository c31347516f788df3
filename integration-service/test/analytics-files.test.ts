import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import { COLUMNS } from '../src/analytics/columns.ts';
import { headerOf } from '../src/analytics/csv.ts';
import { createFilesWriter, type FilesWriter, type Row } from '../src/analytics/files/writer.ts';
import { createWriterLease } from '../src/analytics/files/writer-lease.ts';
import { analyticsMigrations } from '../src/analytics/migrations.ts';
import type { Ledger } from '../src/delivery/ledger/ledger.ts';
import { LEDGER_KINDS, newLocation, open, temporaryFolder } from './ledgers.ts';
import { captureLog } from './support.ts';

const NAME = 'analytics_customers';
const HEADER = headerOf(COLUMNS[NAME]);
const rowOf = (id: string): Row => {
  return { file: NAME, cells: { id, name: `name, of ${id}`, revision: 1 } };
};
const lineOf = (id: string) => `${id},"name, of ${id}",,,1,,\r\n`;
const linesOf = (...ids: string[]) => ids.map(lineOf).join('');

async function setUp(kind: (typeof LEDGER_KINDS)[number] = 'sqlite') {
  const folder = temporaryFolder();
  const location = await newLocation(kind);
  const openLedger = () =>
    open(location, { hasThread: false, flowMigrations: analyticsMigrations });
  const ledger = await openLedger();
  let clock = Date.now();
  const { log, messages } = captureLog();
  /** As a process does at its start. */
  const openWriter = (options: { ledger?: Ledger; folder?: string; maxTail?: number } = {}) => {
    const { ledger: of = ledger, folder: at = folder, ...rest } = options;
    const lease = createWriterLease({ ledger: of, flow: 'analytics', now: () => clock });
    const writer = createFilesWriter({
      folder: at,
      ledger: of,
      log,
      lease,
      now: Date.now,
      ...rest,
    });
    onTestFinished(() => writer.close());
    return writer;
  };
  const commit = async (writer: FilesWriter, ...ids: string[]) => {
    const { together, places } = await writer.append(ids.map(rowOf));
    await ledger.within(together);
    return places;
  };
  const path = join(folder, `${NAME}.csv`);
  const read = () => readFileSync(path, 'utf8');
  /** Two rows are committed, and the process has ended. */
  async function setUpRows(): Promise<void> {
    const writer = openWriter();
    expect(await writer.isReady()).toBe(true);
    await commit(writer, 'a', 'b');
    await writer.close();
  }
  const advance = (ms: number) => {
    clock += ms;
  };
  return {
    advance,
    folder,
    path,
    read,
    ledger,
    location,
    openLedger,
    openWriter,
    commit,
    messages,
    setUpRows,
  };
}

describe.each(LEDGER_KINDS)('files whose lengths are in %s', (kind) => {
  it('begin with a header, and get their rows behind what is committed', async () => {
    const { openWriter, commit, read, folder } = await setUp(kind);
    const writer = openWriter();
    expect(await writer.isReady()).toBe(true);
    expect(
      readdirSync(folder)
        .filter((name) => !name.startsWith('.'))
        .sort(),
    ).toEqual(['analytics_customers.csv', 'analytics_data.csv', 'analytics_inventory.csv']);
    const length = Buffer.byteLength(HEADER);
    expect(await commit(writer, 'a', 'é')).toEqual([
      { file: NAME, row: 1, offset: length },
      { file: NAME, row: 2, offset: length + lineOf('a').length },
    ]);
    const offset = Buffer.byteLength(HEADER + linesOf('a', 'é'));
    expect(await commit(writer, 'c')).toEqual([{ file: NAME, row: 3, offset }]);
    expect(read()).toBe(HEADER + linesOf('a', 'é', 'c'));
  });

  it('go on where they were, in another process', async () => {
    const { openWriter, commit, read, setUpRows } = await setUp(kind);
    await setUpRows();
    const writer = openWriter();
    expect(await writer.isReady()).toBe(true);
    expect(await commit(writer, 'c')).toMatchObject([{ row: 3 }]);
    expect(read()).toBe(HEADER + linesOf('a', 'b', 'c'));
  });

  it('write what comes for several of them each into its own, or nothing of it', async () => {
    const { openWriter, ledger, folder, read } = await setUp(kind);
    const writer = openWriter();
    await writer.isReady();
    const product: Row = { file: 'analytics_inventory', cells: { id: 'p', price: -1.5 } };
    const { places, together } = await writer.append([rowOf('a'), product, rowOf('b')]);
    expect(places.map(({ file, row }) => [file, row])).toEqual([
      [NAME, 1],
      ['analytics_inventory', 1],
      [NAME, 2],
    ]);
    await ledger.within(together);
    expect(read()).toBe(HEADER + linesOf('a', 'b'));
    expect(readFileSync(join(folder, 'analytics_inventory.csv'), 'utf8')).toContain(
      '\r\np,,,,-1.5,,',
    );
  });

  it('are cut to what is committed by the next process, wherever a process was killed', async () => {
    const { openWriter, commit, read, path, setUpRows } = await setUp(kind);
    await setUpRows();
    for (let cut = 0; cut <= lineOf('torn').length; cut += 7) {
      appendFileSync(path, lineOf('torn').slice(0, cut));
      const writer = openWriter();
      expect(await writer.isReady()).toBe(true);
      expect(read()).toBe(HEADER + linesOf('a', 'b'));
      await writer.close();
    }
    const writer = openWriter();
    await writer.isReady();
    await commit(writer, 'c');
    expect(read()).toBe(HEADER + linesOf('a', 'b', 'c'));
  });

  it('take back a batch that was not committed', async () => {
    const { openWriter, ledger, read } = await setUp(kind);
    const writer = openWriter();
    await writer.isReady();
    const first = await writer.append([rowOf('dropped')]);
    const refused = ledger.within(async (transaction) => {
      await first.together(transaction);
      throw new Error('a lease was lost');
    });
    await expect(refused).rejects.toThrow('a lease was lost');
    const second = await writer.append([rowOf('b')]);
    expect(read()).toBe(HEADER + linesOf('b'));
    await ledger.within(second.together);
    expect(read()).toBe(HEADER + linesOf('b'));
  });

  it('give a batch up that is not committed before the next, for good', async () => {
    const { openWriter, ledger, read } = await setUp(kind);
    const writer = openWriter();
    await writer.isReady();
    const late = await writer.append([rowOf('late')]);
    const next = await writer.append([rowOf('next')]);
    await expect(ledger.within(late.together)).rejects.toThrow('a later batch has taken its place');
    await ledger.within(next.together);
    expect(read()).toBe(HEADER + linesOf('next'));
  });

  it('are begun by the next process when one was killed while it began them', async () => {
    const { openWriter, commit, read, path, folder } = await setUp(kind);
    const prepared = join(folder, `.${NAME}.csv.new`);
    // Before the ledger knew of it.
    writeFileSync(prepared, HEADER.slice(0, 5));
    const first = openWriter();
    expect(await first.isReady()).toBe(true);
    await first.close();
    // Before it had its name.
    renameSync(path, prepared);
    writeFileSync(path, 'of somebody else');
    const second = openWriter();
    expect(await second.isReady()).toBe(true);
    await commit(second, 'a');
    expect(read()).toBe(HEADER + linesOf('a'));
    expect(readFileSync(join(folder, `${NAME}-1.csv`), 'utf8')).toBe('of somebody else');
  });
});

describe('a file that is not what the ledger knows of it', () => {
  it.each([
    [
      'shorter',
      (path: string) => truncateSync(path, 20),
      /has 20 bytes, and the ledger knows 92\./,
    ],
    [
      'longer by more than a batch',
      (path: string) => appendFileSync(path, 'x'.repeat(101)),
      /has 193 bytes, and the ledger knows 92\./,
    ],
    ['gone', (path: string) => rmSync(path), /is not there, and the ledger knows 92 bytes of it\./],
    [
      'of other content',
      (path: string) => writeFileSync(path, readFileSync(path, 'utf8').replace('name', 'Name')),
      /^The first 92 of the 92 bytes of .* are not those that were written\./,
    ],
  ])('stays as it is when it is %s', async (_, change, message) => {
    const { setUpRows, openWriter, path, messages } = await setUp();
    await setUpRows();
    change(path);
    const before = existingBytes(path);
    const writer = openWriter({ maxTail: 100 });
    for (let i = 0; i < 2; i++) expect(await writer.isReady()).toBe(false);
    expect(writer.problem()).toMatch(message);
    expect(messages('error')).toHaveLength(1);
    expect(existingBytes(path)).toEqual(before);
  });

  it.each([
    ['was deleted', (path: string) => rmSync(path)],
    ['was replaced', (path: string) => renameSync(path.replace('customers', 'data'), path)],
    ['was cut', (path: string) => truncateSync(path, 10)],
  ])('is not written any more when it %s while in use', async (_, change) => {
    const { openWriter, commit, path } = await setUp();
    const writer = openWriter();
    await writer.isReady();
    await commit(writer, 'a');
    change(path);
    const before = existingBytes(path);
    await expect(writer.append([rowOf('b')])).rejects.toThrow(path);
    expect(await writer.isReady()).toBe(false);
    expect(existingBytes(path)).toEqual(before);
  });
});

const existingBytes = (path: string) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

describe('a file that the ledger does not know', () => {
  it('is set aside under the next free name, byte by byte as it was', async () => {
    const { folder, path, openWriter, commit, read, messages } = await setUp();
    writeFileSync(path, 'somebody, else\n');
    writeFileSync(join(folder, `${NAME}-1.csv`), 'older');
    const writer = openWriter();
    expect(await writer.isReady()).toBe(true);
    await commit(writer, 'a');
    expect(read()).toBe(HEADER + linesOf('a'));
    expect(readFileSync(join(folder, `${NAME}-2.csv`), 'utf8')).toBe('somebody, else\n');
    expect(readFileSync(join(folder, `${NAME}-1.csv`), 'utf8')).toBe('older');
    expect(messages('warn')).toEqual([expect.stringMatching(/it is now .*-2\.csv\.$/)]);
  });

  it('is one of other columns, too', async () => {
    const { setUpRows, ledger, openWriter, folder, read } = await setUp();
    await setUpRows();
    await ledger.within(async (transaction) => {
      await sql`update analytics_files set header = 'other' where name = ${NAME}`.execute(
        transaction,
      );
    });
    expect(await openWriter().isReady()).toBe(true);
    expect(read()).toBe(HEADER);
    expect(readFileSync(join(folder, `${NAME}-1.csv`), 'utf8')).toBe(HEADER + linesOf('a', 'b'));
  });

  it('is one that was prepared for other columns: nothing of it is used', async () => {
    const { setUpRows, openWriter, folder, read } = await setUp();
    await setUpRows();
    writeFileSync(join(folder, `.${NAME}.csv.new`), 'other columns');
    expect(await openWriter().isReady()).toBe(true);
    expect(read()).toBe(HEADER + linesOf('a', 'b'));
    expect(readdirSync(folder).filter((name) => name.endsWith('.new'))).toEqual([]);
  });
});

it('has one writer: another one waits until its process has ended, and the folder can be had', async () => {
  const { openWriter, commit, read, messages } = await setUp();
  const [first, second] = [openWriter(), openWriter()];
  expect([await first.isReady(), await second.isReady()]).toEqual([true, false]);
  expect(second.problem()).toBe('another process writes them.');
  await commit(first, 'a');
  await first.close();
  expect(await second.isReady()).toBe(true);
  expect(second.problem()).toBeUndefined();
  await commit(second, 'b');
  expect(read()).toBe(HEADER + linesOf('a', 'b'));
  expect(messages('info')).toContainEqual(expect.stringMatching(/^Writing files in /));
});

it('says what is wrong with a folder, and tries again', async () => {
  const { openWriter, folder } = await setUp();
  rmSync(folder, { recursive: true });
  writeFileSync(folder, 'no folder');
  const writer = openWriter();
  expect(await writer.isReady()).toBe(false);
  expect(writer.problem()).toContain(folder);
  rmSync(folder);
  expect(await writer.isReady()).toBe(true);
});

it.each(LEDGER_KINDS.filter((kind) => kind === 'postgres'))(
  'has one writer, also among those that share a ledger in %s and no folder',
  async (kind) => {
    const { openWriter, openLedger, commit, read, advance } = await setUp(kind);
    const first = openWriter();
    const second = openWriter({ ledger: await openLedger(), folder: temporaryFolder() });
    expect([await first.isReady(), await second.isReady()]).toEqual([true, false]);
    await commit(first, 'a');
    // The first is stopped for a while; the second one's folder does not have the file.
    advance(6_000);
    expect(await second.isReady()).toBe(false);
    expect(second.problem()).toMatch(/analytics_customers\.csv is not there/);
    // It has let go of the lease.
    expect(await first.isReady()).toBe(true);
    await commit(first, 'b');
    expect(read()).toBe(HEADER + linesOf('a', 'b'));
  },
);
