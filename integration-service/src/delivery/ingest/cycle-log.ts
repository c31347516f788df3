import type { Logger } from 'service-kit/logger';

/** How often idle cycles are summed up. */
const SUM_UP_MS = 600_000;

/**
 * The log of polling cycles, in which an idle service says so only once. The lines of a cycle that found
 * something or failed, and of the first idle cycle after it, are at info level. The lines of further idle
 * cycles are at debug level, and every 10 minutes one line at info level sums these cycles up.
 */
export interface CycleLog {
  /** For the lines of a cycle. Info lines wait until the kind of the cycle is known; a warning shows them. */
  log: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
  /** Runs a cycle. If it throws, its lines go to info level. */
  run(cycle: () => Promise<void>): Promise<void>;
  /** The cycle has found something or failed: its lines go to info level. */
  show(): void;
}

export interface CycleLogOptions {
  log: Logger;
  /** What people call a cycle: `Polling cycle`. */
  cycle: string;
  /** What people call a record of the source: `customer`. */
  noun: string;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
}

export function createCycleLog({ log, cycle, noun, monotonicNow }: CycleLogOptions): CycleLog {
  let isShown = true;
  let isIdle = false;
  /** Info lines of a cycle that may turn out to be idle. */
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
    const minutes = Math.round(passedMs / 60_000);
    log.info(`${cycle}: ${idle.count} in the last ${minutes} minutes found no new ${noun}s.`);
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
    async run(cycle) {
      isIdle = true;
      isShown = idle === undefined;
      try {
        await cycle();
      } catch (error) {
        show();
        throw error;
      } finally {
        flush('debug');
        isShown = true;
        if (isIdle) sumUp();
        else idle = undefined;
      }
    },
    show,
  };
}
