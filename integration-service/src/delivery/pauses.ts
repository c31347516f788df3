import type { Logger } from 'service-kit/logger';
import { MAX_RETRY_AFTER_MS } from 'service-kit/retry';
import type { Ledger } from './ledger/ledger.ts';

/** How long a system is left alone that does not say for how long: at first, and at the most. */
const UNTOLD_MS = { first: 1_000, longest: 60_000 };
/** Shorter pauses that follow each other are told of this often. */
const TELL_EVERY_MS = 60_000;

/** A foreign system that is asked nothing for a while, because it wants fewer calls. */
export type Pause = ReturnType<typeof createPause>;

export interface PauseOptions {
  /** Its name, in the ledger, the metrics and, unless there is a `label`, in the log: `inventory`. */
  system: string;
  /** Its name for people. */
  label?: string;
  ledger: Pick<Ledger, 'readPause' | 'savePause'>;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
}

/**
 * The pause of one system. It begins when the system answers 429, or 503 with `Retry-After`, and is as
 * long as that asks for, an hour at the most. Without such a wish, or with one of less than a second, it
 * is 1 s, then 2 s, 4 s, … up to 60 s, until a call succeeds. The ledger keeps it for other replicas and
 * for the next start. What the ledger has counts for as long as was meant when it was written, whatever
 * the clocks say.
 */
export function createPause(options: PauseOptions) {
  const { system, label = system, ledger, log, now, monotonicNow } = options;
  let endsAt = Number.NEGATIVE_INFINITY;
  let untoldMs = UNTOLD_MS.first;
  let toldAt = Number.NEGATIVE_INFINITY;
  let toSave: { pausedAt: number; pausedUntil: number } | undefined;
  /** What the ledger had when it was last looked at. */
  let seen = '';
  let count = 0;

  const waitMs = () => Math.max(0, Math.ceil(endsAt - monotonicNow()));
  const until = () => (waitMs() > 0 ? Math.ceil(now()) + waitMs() : undefined);

  /** Returns false when the system is left alone for that long as it is. */
  function prolong(forMs: number): boolean {
    if (forMs <= waitMs()) return false;
    endsAt = monotonicNow() + forMs;
    count += 1;
    return true;
  }

  function tell(why: string): void {
    if (waitMs() < TELL_EVERY_MS && monotonicNow() - toldAt < TELL_EVERY_MS) return;
    toldAt = monotonicNow();
    const end = new Date(until() as number).toISOString();
    log.warn(`The ${label} wants fewer calls (${why}): it is left alone until ${end}.`);
  }

  async function save(): Promise<void> {
    if (!toSave) return;
    const saved = toSave;
    await ledger.savePause(system, saved);
    if (toSave === saved) toSave = undefined;
  }

  return {
    system,
    /** How long until the system may be called again; 0 when it may be now. In milliseconds. */
    waitMs,
    /** When the pause ends, Unix time in milliseconds; `undefined` when there is none. */
    until,
    /** How many pauses there have been, each that was made longer counted again. */
    count: () => count,

    /** The system has answered that it wants fewer calls, and for how long if it says so. */
    begin(reason: string, retryAfterMs = 0): void {
      const isTold = retryAfterMs >= UNTOLD_MS.first;
      // Who was under way when it began is not asked to wait once more.
      if (!isTold && waitMs() > 0) return;
      const forMs = isTold ? Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) : untoldMs;
      if (!isTold) untoldMs = Math.min(untoldMs * 2, UNTOLD_MS.longest);
      if (!prolong(forMs)) return;
      toSave = { pausedAt: Math.round(now()), pausedUntil: Math.round(now() + forMs) };
      tell(reason);
    },

    /** The system has taken a call. */
    succeed(): void {
      untoldMs = UNTOLD_MS.first;
    },

    /** Writes down what has begun and is not written down yet. @throws {LedgerError} */
    save,

    /** Looks whether another process was told to wait, and writes down what this one was told. */
    async refresh(): Promise<void> {
      await save();
      const stored = await ledger.readPause(system);
      if (!stored || JSON.stringify(stored) === seen) return;
      seen = JSON.stringify(stored);
      // Written in the future: a clock was wrong, and what was meant counts from now.
      const forMs = stored.pausedUntil - Math.max(now(), stored.pausedAt);
      if (prolong(Math.min(forMs, MAX_RETRY_AFTER_MS))) tell('as the ledger says');
    },
  };
}
