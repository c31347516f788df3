import type { BreakerPermit, CircuitBreaker } from './circuit-breaker.ts';
import { createOffenders, type Verdict } from './offenders.ts';
import type { Pause } from './pauses.ts';

/** Once this many calls may be under way at the same time, there is no limit any more. */
const WIDE = 128;
/**
 * How long a delivery waits whose 429 is its own, if the target does not say how long: at first, and at
 * most.
 */
const ALONE_MS = { first: 1_000, longest: 60_000 };

/** A call that the gate has let through. Report one result. */
export interface Permit extends Omit<BreakerPermit, 'succeed'> {
  /** The target has answered, even if it refused this delivery. `key` names the delivery, or is `READ`. */
  succeed(key?: string | typeof READ): void;
  /** The target answered to this delivery (or `READ`) that it asks for fewer calls. */
  throttle(key: string | typeof READ, reason: string, retryAfterMs: number | undefined): Throttling;
}

/** What a 429 means, and how long the delivery or read that got it must wait, in milliseconds. */
export interface Throttling {
  verdict: Verdict;
  waitMs: number;
}

/** Stands for a read of the target, in place of the key of a delivery. */
export const READ = Symbol('a read');

/** Decides whether a call to one target may begin. */
export interface Gate {
  pause: Pause;
  /** How many calls may begin now. */
  capacity(): number;
  /** How long the breaker or the pause still stops calls, in milliseconds; 0 when neither does. */
  waitMs(): number;
  /**
   * Until when nothing is sent, Unix time in milliseconds; `undefined` when neither breaker nor pause stops
   * calls.
   */
  blockedUntil(): number | undefined;
  /** The breaker is not closed: a failure now is due to the target, not to the delivery. */
  isProbing(): boolean;
  /** Few calls may begin, or none. */
  isNarrow(): boolean;
  /** Begins a call; `undefined` without capacity. */
  pass(): Permit | undefined;
}

export interface GateOptions {
  breaker: CircuitBreaker;
  pause: Pause;
  /** Unix time in milliseconds. */
  now: () => number;
}

/**
 * Combines what can stop calls to a target: its circuit breaker, and the pause of its system. After a
 * pause, one call is allowed at a time, and each call that succeeds allows one more at the same time, so
 * that a target that takes a few calls a second is not overloaded at the end of each pause.
 */
export function createGate({ breaker, pause, now }: GateOptions): Gate {
  const offenders = createOffenders();
  let calls = 0;
  let width = Number.POSITIVE_INFINITY;
  /** Increased whenever the gate becomes narrow: calls that began before that no longer count. */
  let round = 0;
  let underWay = 0;
  let pauses = pause.count();

  function narrow(): void {
    pauses = pause.count();
    width = 1;
    round += 1;
    underWay = 0;
  }

  function capacity(): number {
    if (pauses !== pause.count()) narrow();
    if (pause.waitMs() > 0) return 0;
    return Math.max(0, Math.min(breaker.capacity(), width - underWay));
  }

  const waitMs = () => Math.max(breaker.waitMs(), pause.waitMs());

  return {
    ...{ pause, capacity, waitMs },
    blockedUntil: () => (waitMs() > 0 ? Math.ceil(now() + waitMs()) : undefined),
    isProbing: () => breaker.state() !== 'closed',
    isNarrow: () => breaker.state() !== 'closed' || width < WIDE,
    pass() {
      if (capacity() === 0) return undefined;
      const begunIn = round;
      const isOfNow = () => begunIn === round;
      const inner = breaker.pass(() => {
        if (isOfNow()) underWay -= 1;
      });
      if (!inner) return undefined;
      calls += 1;
      underWay += 1;
      const call = calls;
      return {
        ...inner,
        succeed(key) {
          inner.succeed();
          offenders.accept(call, key);
          if (!isOfNow()) return;
          pause.succeed();
          width = width < WIDE ? width + 1 : Number.POSITIVE_INFINITY;
        },
        throttle(key, reason, retryAfterMs = 0) {
          inner.cancel();
          const { verdict, times } = offenders.judge(key, calls);
          if (verdict === 'system') {
            pause.begin(reason, retryAfterMs);
            return { verdict, waitMs: pause.waitMs() };
          }
          // The next call shows whether the delivery or the system is the cause.
          if (verdict === 'perhaps its own') narrow();
          const untoldMs = Math.min(ALONE_MS.first * 2 ** (times - 1), ALONE_MS.longest);
          return { verdict, waitMs: retryAfterMs >= ALONE_MS.first ? retryAfterMs : untoldMs };
        },
      };
    },
  };
}
