import type { Logger } from 'service-kit/logger';

const FAILURES_TO_OPEN = 5;
const OPEN_MS = { first: 2_000, longest: 30_000 };

export type BreakerState = 'closed' | 'half-open' | 'open';

/** A call that the breaker has let through. Report one result. */
export interface BreakerPermit {
  /** The target has answered, even if with a refusal. */
  succeed(): void;
  /** The target has failed; `retryAfterMs` is the wait that it asked for. */
  fail(reason: string, retryAfterMs?: number): void;
  /** The target has refused us: we are not authorized. */
  refuse(reason: string): void;
  /** The call was not made. */
  cancel(): void;
}

export interface CircuitBreaker {
  state(): BreakerState;
  /** Why it is not closed; `undefined` when it is. */
  problem(): string | undefined;
  /** How many calls may begin now: any number when closed, one when half-open, none when open. */
  capacity(): number;
  /** How long until the breaker is half-open, in milliseconds; 0 when it is not open. */
  waitMs(): number;
  /**
   * Begins a call; `undefined` without capacity.
   *
   * @param onEnd called when a result of the call has been reported
   */
  pass(onEnd?: () => void): BreakerPermit | undefined;
}

export interface CircuitBreakerOptions {
  target: string;
  log: Logger;
  /** A monotonic clock, in milliseconds. */
  monotonicNow: () => number;
  /** Called when the target works again. Default: nobody is told. */
  onClose?: (() => void) | undefined;
}

/**
 * Keeps calls away from a target that fails (https://martinfowler.com/bliki/CircuitBreaker.html). It opens
 * after 5 failures in a row, or at once when the target refuses us. It stays open for 2 s at first, then
 * lets one call through as a probe: success closes it, failure opens it for twice as long as before, up to
 * 30 s. If a failure asked for a longer wait (`Retry-After`), it stays open for that long.
 */
export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { target, log, monotonicNow, onClose } = options;
  let failures = 0;
  let isOpen = false;
  let openMs = OPEN_MS.first;
  let openUntil = 0;
  let askedToWaitUntil = 0;
  let probe: symbol | undefined;
  let isRefused = false;
  let lastReason = '';

  function open(): void {
    openMs = isOpen ? Math.min(openMs * 2, OPEN_MS.longest) : OPEN_MS.first;
    isOpen = true;
    openUntil = Math.max(monotonicNow() + openMs, askedToWaitUntil);
  }

  function close(): void {
    const wasOpen = isOpen;
    if (wasOpen) log.info(`The ${target} answers again.`);
    failures = 0;
    isOpen = false;
    askedToWaitUntil = 0;
    isRefused = false;
    if (wasOpen) onClose?.();
  }

  function state(): BreakerState {
    if (!isOpen) return 'closed';
    return monotonicNow() < openUntil ? 'open' : 'half-open';
  }

  function capacity(): number {
    if (!isOpen) return Number.POSITIVE_INFINITY;
    return state() === 'half-open' && !probe ? 1 : 0;
  }

  return {
    state,
    capacity,
    problem: () => (isOpen ? lastReason : undefined),
    waitMs: () => (isOpen ? Math.max(0, openUntil - monotonicNow()) : 0),
    pass(onEnd) {
      if (capacity() === 0) return undefined;
      const self = Symbol('call');
      const isProbe = isOpen;
      if (isProbe) probe = self;
      // A call that began before the breaker opened says nothing about the target as it is now.
      const isStale = () => isOpen && probe !== self;
      const end = () => {
        if (probe === self) probe = undefined;
        onEnd?.();
      };
      return {
        succeed() {
          if (!isStale()) close();
          end();
        },
        fail(reason, retryAfterMs = 0) {
          askedToWaitUntil = Math.max(askedToWaitUntil, monotonicNow() + retryAfterMs);
          failures += 1;
          lastReason = reason;
          if (isOpen && !isStale()) open();
          else if (isOpen) openUntil = Math.max(openUntil, askedToWaitUntil);
          else if (failures >= FAILURES_TO_OPEN) {
            open();
            log.error(
              `The ${target} failed ${failures} times in a row (${reason}). Trying one call from time to time until it answers.`,
            );
          }
          end();
        },
        refuse(reason) {
          lastReason = reason;
          if (!isStale()) open();
          if (!isRefused) {
            isRefused = true;
            log.error(
              `The ${target} refuses access: ${reason}. Check the user name and password in its URL. Nothing is sent until it accepts them.`,
            );
          }
          end();
        },
        cancel: end,
      };
    },
  };
}
