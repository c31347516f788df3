import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const LOCKED = 5;

export interface FolderLock {
  release(): void;
}

/**
 * Takes the lock of a folder of files, which it creates if need be. One process can have it; the system releases it however that process
 * ends, and not before. Returns `undefined` when another process has it.
 *
 * @throws when the lock cannot be written
 */
export function takeFolderLock(folder: string): FolderLock | undefined {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, '.analytics.lock');
  allowAll(path);
  const lock = new DatabaseSync(path);
  try {
    lock.exec('begin exclusive');
  } catch (error) {
    lock.close();
    if ((Number((error as { errcode?: number }).errcode) & 0xff) === LOCKED) return undefined;
    throw error;
  }
  return { release: () => lock.close() };
}

/** The same folder is used by the container's user and by others on the host. */
function allowAll(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o666));
    // Whatever the process's umask takes away.
    chmodSync(path, 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
