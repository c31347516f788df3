import type { Logger } from 'service-kit/logger';

/** How often idle cycles are summed up. */
const SUM_UP_MS = 600_000;

/**
 * The log of polling cycles. A service that has nothing to do says so once: at info are the lines of every
 * cycle that found something or failed, and of the first idle one after it; those of the idle ones
 * behind it are at debug level, and every 10 minutes one line at info sums them up.
 */
export interface CycleLog {
  /** For whatever a cycle does. Info waits until it is known what kind of cycle it is; a warning tells. */
  log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  begin(): void;
  /** The cycle has found something or failed: it is shown. */
  show(): void;
  end(): void;
}

/** @param monotonicNow milliseconds of a clock that never jumps */
export function createCycleLog(log: Logger, monotonicNow = () => performance.now()): CycleLog {
  let isShown = true;
  let isIdle = false;
  /** Lines of a cycle that may be an idle one. */
  let waiting: string[] = [];
  let idle: { count: number; since: number } | undefined;

  function show(): void {
    isIdle = false;
    isShown = true;
    flush('info');
  }

  function flush(level: 'info' | 'debug'): void {
    for (const message of waiting) log[level](message);
    waiting = [];
  }

  function sumUp(): void {
    idle ??= { count: -1, since: monotonicNow() };
    idle.count += 1;
    const passedMs = monotonicNow() - idle.since;
    if (idle.count === 0 || passedMs < SUM_UP_MS) return;
    const cycles = idle.count === 1 ? '1 polling cycle' : `${idle.count} polling cycles`;
    const minutes = Math.round(passedMs / 60_000);
    log.info(`${cycles} in the last ${minutes} minutes found no new customers.`);
    idle = { count: 0, since: monotonicNow() };
  }

  return {
    log: {
      debug: (message: string) => log.debug(message),
      info(message: string) {
        if (isShown) log.info(message);
        else waiting.push(message);
      },
      warn(message: string) {
        show();
        log.warn(message);
      },
      error(message: string) {
        show();
        log.error(message);
      },
    },
    begin() {
      isIdle = true;
      isShown = idle === undefined;
    },
    show,
    end() {
      flush('debug');
      isShown = true;
      if (isIdle) sumUp();
      else idle = undefined;
    },
  };
}
