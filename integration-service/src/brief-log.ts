import type { Logger } from 'service-kit/logger';

/** Lines of one kind in one window that go out at info level. */
const MAX_LINES = 100;
/** A window begins with its first line. */
const WINDOW_MS = 10_000;

/**
 * Keeps what is said of every single record from filling the log, and the time it takes from a drain: of
 * many lines of a kind, the first go out at info level, the others at debug, and one more counts those,
 * unless the process ends before.
 *
 * @returns takes the kind, in words for that line (`new customers`), and the message
 */
export function createBriefLog(log: Logger): (kind: string, message: string) => void {
  const counts = new Map<string, number>();

  function sumUp(kind: string): void {
    const more = (counts.get(kind) ?? 0) - MAX_LINES;
    counts.delete(kind);
    if (more > 0) log.info(`… and ${more} more ${kind}.`);
  }

  return (kind, message) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count === 1) setTimeout(sumUp, WINDOW_MS, kind).unref();
    log[count <= MAX_LINES ? 'info' : 'debug'](message);
  };
}
