/** A file to which batches are appended exactly once: what lies beyond its committed length was never there. */
import { createHash, type Hash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { type FileHandle, lstat, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What is committed of a file. */
export interface FileState {
  /** In bytes. */
  length: number;
  /** SHA-256 of these bytes, in hex. */
  hash: string;
  /** How many rows these are, without the header. */
  rows: number;
}

/** A file is not what the ledger knows of it. It stays as it is, and nothing is written. */
export class FileProblem extends Error {
  override readonly name = 'FileProblem';
}

export interface CsvFile {
  /** What was committed last, as far as this process knows. */
  readonly state: FileState;
  /**
   * Writes text behind the committed length, to the disk. It counts once it is committed.
   *
   * @returns what is to be committed
   * @throws {FileProblem} when the file is not what it was; or the error of the disk
   */
  append(text: string, rows: number): Promise<FileState>;
  /**
   * Takes in what the ledger says, by the hash: what was appended last is committed, or will never be.
   *
   * @returns `unknown` when it is neither
   */
  settle(hash: string | undefined): 'committed' | 'dropped' | 'unknown';
  close(): Promise<void>;
}

export interface OpenOptions {
  path: string;
  state: FileState;
  /** The longest tail beyond the committed length that a batch which was not committed can have left. */
  maxTail: number;
}

const CHUNK = 1024 * 1024;

/**
 * Opens a file that the ledger knows: all committed bytes are read and compared. A tail behind them, which a
 * killed process has left, is cut off.
 *
 * @throws {FileProblem}
 */
export async function openCsvFile({ path, state, maxTail }: OpenOptions): Promise<CsvFile> {
  const file = await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new FileProblem(
      `${path} is not there, and the ledger knows ${state.length} bytes of it.`,
    );
  });
  try {
    const { size, ino } = await file.stat();
    checkLength(path, size, state, maxTail);
    const hash = await hashOf(file, state.length);
    if (hash.copy().digest('hex') !== state.hash) {
      throw new FileProblem(
        `The first ${state.length} of the ${size} bytes of ${path} are not those that were written.`,
      );
    }
    if (size > state.length) await cut(file, state.length);
    return createCsvFile(file, { path, state, maxTail, hash, ino });
  } catch (error) {
    await file.close();
    throw error;
  }
}

function createCsvFile(
  file: FileHandle,
  options: OpenOptions & { hash: Hash; ino: number },
): CsvFile {
  const { path, maxTail, ino } = options;
  let { state, hash } = options;
  let appended: { state: FileState; hash: Hash } | undefined;

  return {
    get state() {
      return state;
    },
    async append(text, rows) {
      appended = undefined;
      const { size } = await checkSame(path, ino);
      checkLength(path, size, state, maxTail);
      if (size > state.length) await cut(file, state.length);
      const bytes = Buffer.from(text);
      await writeAll(file, bytes, state.length);
      await file.datasync();
      const next = hash.copy().update(bytes);
      const length = state.length + bytes.length;
      const written = { length, hash: next.copy().digest('hex'), rows: state.rows + rows };
      appended = { state: written, hash: next };
      return written;
    },
    settle(known) {
      const last = appended;
      appended = undefined;
      if (last && last.state.hash === known) {
        ({ state, hash } = last);
        return 'committed';
      }
      return state.hash === known ? 'dropped' : 'unknown';
    },
    close: () => file.close(),
  };
}

/** Throws unless the file is still the one that was opened: a deleted one could be written all the same. */
async function checkSame(path: string, ino: number): Promise<{ size: number }> {
  const now = await statOf(path);
  if (now?.ino === ino) return now;
  throw new FileProblem(`${path} was deleted or replaced while it was in use.`);
}

function checkLength(path: string, size: number, { length }: FileState, maxTail: number): void {
  if (size >= length && size <= length + maxTail) return;
  throw new FileProblem(`${path} has ${size} bytes, and the ledger knows ${length}.`);
}

async function hashOf(file: FileHandle, length: number): Promise<Hash> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(1, length)));
  for (let position = 0; position < length; ) {
    const wanted = Math.min(buffer.length, length - position);
    const { bytesRead } = await file.read(buffer, 0, wanted, position);
    // Somebody has cut it meanwhile: the hash will not be that of the ledger.
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return hash;
}

/** One write may take only a part of it. */
async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

async function cut(file: FileHandle, length: number): Promise<void> {
  await file.truncate(length);
  await file.datasync();
}

/** Writes a file under another name, to the disk; {@link place} gives it its own. */
export async function prepareFile(path: string, header: string): Promise<FileState> {
  const file = await open(path, 'w', 0o644);
  try {
    await file.writeFile(header);
    await file.sync();
  } finally {
    await file.close();
  }
  const hash = createHash('sha256').update(header).digest('hex');
  return { length: Buffer.byteLength(header), hash, rows: 0 };
}

/**
 * Gives a prepared file its name. Whatever has that name is set aside first, under the next name that is free.
 *
 * @returns the name under which something was set aside
 */
export async function place(prepared: string, path: string): Promise<string | undefined> {
  const aside = (await statOf(path)) ? await freeName(path) : undefined;
  if (aside) await rename(path, aside);
  await rename(prepared, path);
  await syncFolder(dirname(path));
  return aside;
}

/** `a.csv` becomes `a-1.csv`, or the next number that nobody has. */
async function freeName(path: string): Promise<string> {
  for (let number = 1; ; number++) {
    const name = path.replace(/(\.[^./]*)?$/, `-${number}$1`);
    if (!(await statOf(name))) return name;
  }
}

/** What has a name, also if it is a link that leads nowhere. Throws when that cannot be known. */
async function statOf(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
}

/** A new name is on the disk only when the folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
