import type { Logger } from './logger.ts';

/** Length of a window, which begins with its first line. */
const WINDOW_MS = 10_000;

/**
 * Limits the lines about single records, so that they neither fill the log nor slow down a drain. Of many
 * lines of one kind, the first are logged as they are and the others at debug level; one more line counts
 * those others, unless the process ends first.
 *
 * @param most how many lines of one kind are logged as they are in one window. Default: 100
 * @returns takes the kind, worded for the counting line (`new customers`), and the message
 */
export function createRateLimitedLog(
  log: Logger,
  level: 'info' | 'warn' = 'info',
  most = 100,
): (kind: string, message: string) => void {
  const counts = new Map<string, number>();

  function sumUp(kind: string): void {
    const more = (counts.get(kind) ?? 0) - most;
    counts.delete(kind);
    if (more > 0) log[level](`… and ${more} more ${kind}.`);
  }

  return (kind, message) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    if (count === 1) setTimeout(sumUp, WINDOW_MS, kind).unref();
    log[count <= most ? level : 'debug'](message);
  };
}
