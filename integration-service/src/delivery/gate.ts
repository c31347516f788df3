import type { CircuitBreaker, Passage } from './circuit-breaker.ts';
import { createOffenders, type Verdict } from './offenders.ts';
import type { Pause } from './pauses.ts';

/** When so many calls may go out at the same time, any number may. */
const WIDE = 128;
/** How long a delivery waits that is answered 429 for itself, and is not told for how long. */
const ALONE_MS = { first: 1_000, longest: 60_000 };

/** A call that the gate has let through. Report one result. */
export interface Permit extends Omit<Passage, 'succeed'> {
  /** The target has answered, be it a refusal of this delivery, by its key. */
  succeed(key?: string | typeof READ): void;
  /** The target wants fewer calls, by what it answered to this delivery (or `READ`). */
  throttle(key: string | typeof READ, reason: string, retryAfterMs: number | undefined): Throttling;
}

/** What a 429 means, and how long the one that got it has to wait; in milliseconds. */
export interface Throttling {
  verdict: Verdict;
  waitMs: number;
}

/** In place of a key: what was throttled was a read of the target. */
export const READ = Symbol('a read');

/** Lets calls to one target through, or not. */
export type Gate = ReturnType<typeof createGate>;

export interface GateOptions {
  breaker: CircuitBreaker;
  pause: Pause;
  /** Unix time in milliseconds. */
  now: () => number;
}

/**
 * What keeps calls from a target: its circuit breaker, and the pause of the system that it is. After a
 * pause, one call goes out alone, and each that succeeds makes room for one more at the same time, so
 * that a target that takes a few calls a second is not run over at the end of each pause.
 */
export function createGate({ breaker, pause, now }: GateOptions) {
  const offenders = createOffenders();
  let calls = 0;
  let width = Number.POSITIVE_INFINITY;
  /** Goes up whenever the gate becomes narrow: who came through before is not counted any more. */
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
    /** How many calls may begin now. */
    capacity,
    /** How long until that may change by itself; 0 when calls may begin. In milliseconds. */
    waitMs,
    /** Until when nothing is sent, Unix time in milliseconds; `undefined` when calls may begin. */
    blockedUntil: () => (waitMs() > 0 ? Math.ceil(now() + waitMs()) : undefined),
    /** The breaker is not closed: whatever fails now says something of the target alone. */
    isProbing: () => breaker.state() !== 'closed',
    /** Few calls go through, or none. */
    isNarrow: () => breaker.state() !== 'closed' || width < WIDE,
    pause,

    /** Begins a call; `undefined` without capacity. */
    pass(): Permit | undefined {
      const passage = capacity() > 0 ? breaker.pass() : undefined;
      if (!passage) return undefined;
      calls += 1;
      underWay += 1;
      const [call, begunIn] = [calls, round];
      const isOfNow = () => begunIn === round;
      const end = () => {
        if (isOfNow()) underWay -= 1;
      };
      return {
        succeed(key) {
          passage.succeed();
          end();
          offenders.accept(call, key);
          if (!isOfNow()) return;
          pause.succeed();
          width = width < WIDE ? width + 1 : Number.POSITIVE_INFINITY;
        },
        fail(reason, retryAfterMs) {
          passage.fail(reason, retryAfterMs);
          end();
        },
        refuse(reason) {
          passage.refuse(reason);
          end();
        },
        cancel() {
          passage.cancel();
          end();
        },
        throttle(key, reason, retryAfterMs = 0) {
          passage.cancel();
          end();
          const { verdict, times } = offenders.judge(key, calls);
          if (verdict === 'system') {
            pause.begin(reason, retryAfterMs);
            return { verdict, waitMs: pause.waitMs() };
          }
          // What comes next shows whose matter it is.
          if (verdict === 'perhaps its own') narrow();
          const untoldMs = Math.min(ALONE_MS.first * 2 ** (times - 1), ALONE_MS.longest);
          return { verdict, waitMs: retryAfterMs >= ALONE_MS.first ? retryAfterMs : untoldMs };
        },
      };
    },
  };
}
