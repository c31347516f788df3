/** The files of a folder, in the hands of the one process that may write to them. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'service-kit/logger';
import type { Ledger, Together } from '../../delivery/ledger/ledger.ts';
import { LedgerError } from '../../delivery/ledger/ledger-error.ts';
import { type Cells, COLUMNS, FILE_NAMES, type FileName } from '../columns.ts';
import { headerOf, linesOf } from '../csv.ts';
import { type CsvFile, FileProblem, openCsvFile, place, prepareFile } from './csv-file.ts';
import { advanceFile, beginFile, type FileStep, type KnownFile, readFiles } from './file-table.ts';
import { type FolderLock, takeFolderLock } from './folder-lock.ts';
import type { WriterLease } from './writer-lease.ts';

/** More than any batch. */
const MAX_TAIL = 64 * 1024 * 1024;

export interface FilesWriterOptions {
  folder: string;
  ledger: Pick<Ledger, 'within'>;
  log: Logger;
  lease: WriterLease;
  /** The longest tail that is cut off, in bytes. Default: 64 MiB, more than any batch. */
  maxTail?: number;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** Where a row is. */
export interface Place {
  file: FileName;
  /** Counted from 1, behind the header. */
  row: number;
  /** Where its line begins, in bytes. */
  offset: number;
}

export interface Appended {
  /** Of each row, in their order. */
  places: Place[];
  /** Committed with the deliveries; throws when another process has written. */
  together: Together;
}

export interface FilesWriter {
  /**
   * Whether this process may write: it has the lock of the folder, and each file is what the ledger knows of it.
   * What is not is set aside or cut once, when the lock is taken.
   */
  isReady(): Promise<boolean>;
  /** Writes rows behind what is committed. Nothing counts before the transaction of `together`. */
  append(rows: readonly Row[]): Promise<Appended>;
  /** Why nothing is written, for people; `undefined` when something can be. */
  problem(): string | undefined;
  close(): Promise<void>;
}

export interface Row {
  file: FileName;
  cells: Cells;
}

/** A batch that was written, and whose commit is still to come. */
interface Batch {
  /** It can never be committed. */
  isVoid: boolean;
}

const OTHERS = 'another process writes them.';

export function createFilesWriter(options: FilesWriterOptions): FilesWriter {
  const { folder, ledger, log, lease, maxTail = MAX_TAIL, now } = options;
  const files = new Map<FileName, CsvFile>();
  let lock: FolderLock | undefined;
  let problem: string | undefined;
  /** What is wrong with a file stays wrong; a folder may be mounted yet, a disk may have room again. */
  let isStopped = false;
  let last: Batch | undefined;

  function tell(reason: string | undefined): void {
    if (reason === problem) return;
    problem = reason;
    if (reason) log.error(`No rows are written to files: ${reason}`);
  }

  async function closeFiles(): Promise<void> {
    // What it wrote may be cut before it is committed.
    if (last) last.isVoid = true;
    last = undefined;
    const open = [...files.values()];
    files.clear();
    for (const file of open) await file.close();
  }

  async function close(): Promise<void> {
    await closeFiles();
    lock?.release();
    lock = undefined;
    await lease.release();
  }

  /** Opens a file, or begins it anew when the ledger does not know it. */
  async function openFile(name: FileName, known: KnownFile | undefined): Promise<CsvFile> {
    const [path, prepared] = [pathOf(`${name}.csv`), pathOf(`.${name}.csv.new`)];
    const header = headerOf(COLUMNS[name]);
    let state = known;
    if (state?.header !== header) {
      state = { name, header, ...(await prepareFile(prepared, header)) };
      const begun = state;
      await ledger.within((transaction) => beginFile(transaction, begun, now()));
    }
    // What was prepared for other columns, by a process that was killed before it said so, is nobody's.
    if (!(await hasText(prepared, header))) await rm(prepared, { force: true });
    else {
      const aside = await place(prepared, path);
      if (aside) log.warn(`${path} is of another ledger, or of other columns: it is now ${aside}.`);
    }
    return openCsvFile({ path, state, maxTail });
  }

  async function openAll(): Promise<void> {
    const known = await ledger.within(readFiles);
    for (const name of FILE_NAMES) files.set(name, await openFile(name, known.get(name)));
    log.info(`Writing files in ${folder}.`);
  }

  const pathOf = (name: string) => join(folder, name);

  async function isReady(): Promise<boolean> {
    if (isStopped) return false;
    try {
      lock ??= takeFolderLock(folder);
      const isMine = lock !== undefined && (await lease.take());
      // Another process may have written while the lease was not ours.
      if (!isMine) await closeFiles();
      else if (files.size === 0) await openAll();
      tell(isMine ? undefined : OTHERS);
      return isMine;
    } catch (error) {
      if (error instanceof LedgerError) throw error;
      await fail(error as Error);
      return false;
    }
  }

  async function fail(error: Error): Promise<void> {
    isStopped = error instanceof FileProblem;
    await close();
    tell(isStopped ? `${error.message} The file stays as it is.` : error.message);
  }

  /** Makes sure of what became of the batch before: it is committed, or never will be. */
  async function settleLast(): Promise<void> {
    if (!last) return;
    last.isVoid = true;
    last = undefined;
    const known = await ledger.within(readFiles);
    for (const [name, file] of files) {
      if (file.settle(known.get(name)?.hash) === 'unknown') {
        throw new FileProblem(`Another process has written to ${name}.csv.`);
      }
    }
  }

  async function append(rows: readonly Row[]): Promise<Appended> {
    try {
      await settleLast();
      const batch: Batch = { isVoid: false };
      const { places, steps } = await write(rows);
      last = batch;
      const together: Together = async (transaction) => {
        if (batch.isVoid) throw new Error('a later batch has taken its place');
        for (const step of steps) await advanceFile(transaction, step, now());
      };
      return { places, together };
    } catch (error) {
      if (error instanceof FileProblem) await fail(error);
      throw error;
    }
  }

  /** Each file gets its rows in one write. */
  async function write(rows: readonly Row[]): Promise<{ places: Place[]; steps: FileStep[] }> {
    const places: Place[] = [];
    const steps: FileStep[] = [];
    const byFile = Map.groupBy(rows.keys(), (i) => (rows[i] as Row).file);
    for (const [name, indexes] of byFile) {
      const file = files.get(name);
      if (!file) throw new FileProblem(`${name}.csv is not open.`);
      const from = file.state;
      const lines = linesOf(
        COLUMNS[name],
        indexes.map((i) => (rows[i] as Row).cells),
      );
      let offset = from.length;
      indexes.forEach((index, i) => {
        places[index] = { file: name, row: from.rows + i + 1, offset };
        offset += Buffer.byteLength(lines[i] as string);
      });
      steps.push({ name, from, to: await file.append(lines.join(''), lines.length) });
    }
    return { places, steps };
  }

  return { isReady, append, problem: () => problem, close };
}

async function hasText(path: string, text: string): Promise<boolean> {
  return readFile(path, 'utf8').then(
    (found) => found === text,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      return false;
    },
  );
}
