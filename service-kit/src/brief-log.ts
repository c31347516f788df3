import type { Logger } from './logger.ts';

/** Lines of one kind in one window that go out as they are. */
const MAX_LINES = 100;
/** A window begins with its first line. */
const WINDOW_MS = 10_000;

/**
 * Keeps what is said of every single record from filling the log, and the time it takes from a drain: of
 * many lines of a kind, the first go out, the others at debug level, and one more counts those, unless
 * the process ends before.
 *
 * @returns takes the kind, in words for that line (`new customers`), and the message
 */
export function createBriefLog(
  log: Logger,
  level: 'info' | 'warn' = 'info',
): (kind: string, message: string) => void {
  const counts = new Map<string, number>();

  function sumUp(kind: string): void {
    const more = (counts.get(kind) ?? 0) - MAX_LINES;
    counts.delete(kind);
    if (more > 0) log[level](`… and ${more} more ${kind}.`);
  }

  return (kind, message) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count === 1) setTimeout(sumUp, WINDOW_MS, kind).unref();
    log[count <= MAX_LINES ? level : 'debug'](message);
  };
}
