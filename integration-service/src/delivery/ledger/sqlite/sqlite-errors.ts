import { LedgerError, type LedgerFault } from '../ledger-error.ts';

/** How long a statement waits for another process to end its transaction. */
export const BUSY_TIMEOUT_MS = 5_000;

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html */
const BUSY = 5;
export const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
export const CANTOPEN = 14;
const NOTADB = 26;
/** An extended result code: no room to grow the shared memory file. */
const IOERR_SHMSIZE = 4874;

/**
 * Turns an error of SQLite into one line that names the file and the remedy; other errors stay as they are.
 */
export function explain(path: string, error: unknown): unknown {
  if (error instanceof LedgerError || !(error instanceof Error) || !('errcode' in error))
    return error;
  const code = Number(error.errcode);
  const fail = (fault: LedgerFault, text: string) =>
    new LedgerError(fault, `The ledger ${path} ${text}`, { cause: error });
  switch (code === IOERR_SHMSIZE ? FULL : code & 0xff) {
    case BUSY:
      return fail(
        'unreachable',
        `has been locked by another process for ${BUSY_TIMEOUT_MS / 1000} s. Nothing is sent until it lets go.`,
      );
    case READONLY:
      return fail('unusable', 'is read-only. Let this user write to the file and its folder.');
    case CANTOPEN:
      return fail(
        'unusable',
        'cannot be opened. See that its folder exists and that this user may read and write there.',
      );
    case CORRUPT:
      return corrupt(path, error.message);
    case NOTADB:
      return fail(
        'unusable',
        'is no SQLite database. Restore it from a backup, or name another file in LEDGER_URL.',
      );
    case FULL:
      return new LedgerError(
        'full',
        `The disk of the ledger ${path} is full. Nothing is sent until there is room.`,
        { cause: error },
      );
    case IOERR:
      return fail('failing', `cannot be trusted: the disk reports an error (${error.message}).`);
    default:
      return error;
  }
}

/**
 * The error for a corrupt file, which a check may find before SQLite itself reports it.
 *
 * @param detail the lines of a check, which may begin with a heading (`*** in database main ***`)
 */
export function corrupt(path: string, detail: string): LedgerError {
  const [finding = detail] = detail.split('\n').filter((line) => line && !line.startsWith('***'));
  return new LedgerError(
    'unusable',
    `The ledger ${path} is corrupt (${finding}). Move it away with its -wal and -shm files, then restore it from a backup. A new one asks the inventory what it already holds, but has none of the shop's customers.`,
  );
}
