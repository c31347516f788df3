import type { Logger } from 'service-kit/logger';
import { MAX_RETRY_AFTER_MS } from 'service-kit/retry';
import type { Clocks } from '../clocks.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** How long a system is paused that does not say for how long: at first, and at most. */
const UNTOLD_MS = { first: 1_000, longest: 60_000 };
/** Consecutive pauses shorter than this are logged at most this often. */
const TELL_EVERY_MS = 60_000;

/** The pause of a foreign system: the system is not called for a while, because it asks for fewer calls. */
export interface Pause {
  /** The name of the system in the ledger and in metrics: `crm`. */
  system: string;
  /** How long until the system may be called again, in milliseconds; 0 when it may be called now. */
  waitMs(): number;
  /** When the pause ends, Unix time in milliseconds; `undefined` when there is none. */
  until(): number | undefined;
  /** How many pauses there have been; a pause that was made longer counts again. */
  count(): number;
  /** The system has answered that it asks for fewer calls, with the wait if the answer has one. */
  begin(reason: string, retryAfterMs?: number): void;
  /** The system has accepted a call. */
  succeed(): void;
  /** Writes a pause that has begun and is not in the ledger yet. @throws {LedgerError} */
  save(): Promise<void>;
  /**
   * Writes the pause of this process to the ledger, and takes over a pause that another process wrote
   * there. @throws {LedgerError}
   */
  refresh(): Promise<void>;
}

export interface PauseOptions extends Clocks {
  /** The name of the system for people: `CRM`. */
  system: string;
  ledger: Pick<Ledger, 'readPause' | 'savePause'>;
  log: Logger;
}

/** The name of a system in the ledger and in metrics, for its name for people. */
export function systemOf(label: string): string {
  return label.toLowerCase();
}

/**
 * The pause of one system. It begins when the system answers 429, or 503 with `Retry-After`, and lasts as
 * long as that header asks for, an hour at most. If the header is missing or asks for less than a second,
 * the pause is 1 s, then 2 s, 4 s, … up to 60 s, until a call succeeds. The ledger stores the pause for
 * other replicas and for the next start. No wrong clock makes a pause that is read from the ledger longer
 * than it was meant to be when it was written.
 */
export function createPause(options: PauseOptions): Pause {
  const { system: label, ledger, log, now, monotonicNow } = options;
  const system = systemOf(label);
  let endsAt = Number.NEGATIVE_INFINITY;
  let untoldMs = UNTOLD_MS.first;
  let toldAt = Number.NEGATIVE_INFINITY;
  let toSave: { pausedAt: number; pausedUntil: number } | undefined;
  /** The pause that the ledger had at the last look, as JSON. */
  let seen = '';
  let count = 0;

  const waitMs = () => Math.max(0, Math.ceil(endsAt - monotonicNow()));
  const until = () => (waitMs() > 0 ? Math.ceil(now()) + waitMs() : undefined);

  /** Returns false when the current pause already lasts that long. */
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
    log.warn(`The ${label} asks for fewer calls (${why}): it is not called until ${end}.`);
  }

  async function save(): Promise<void> {
    if (!toSave) return;
    const saved = toSave;
    await ledger.savePause(system, saved);
    if (toSave === saved) toSave = undefined;
  }

  return {
    ...{ system, waitMs, until, save },
    count: () => count,
    begin(reason, retryAfterMs = 0) {
      const isTold = retryAfterMs >= UNTOLD_MS.first;
      // An answer without a wait, to a call that was under way when the pause began, does not prolong the
      // pause.
      if (!isTold && waitMs() > 0) return;
      const forMs = isTold ? Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) : untoldMs;
      if (!isTold) untoldMs = Math.min(untoldMs * 2, UNTOLD_MS.longest);
      if (!prolong(forMs)) return;
      toSave = { pausedAt: Math.round(now()), pausedUntil: Math.round(now() + forMs) };
      tell(reason);
    },

    succeed() {
      untoldMs = UNTOLD_MS.first;
    },
    async refresh() {
      await save();
      const stored = await ledger.readPause(system);
      if (!stored || JSON.stringify(stored) === seen) return;
      seen = JSON.stringify(stored);
      // If `pausedAt` is in the future, a clock was wrong: the intended length counts from now.
      const forMs = stored.pausedUntil - Math.max(now(), stored.pausedAt);
      if (prolong(Math.min(forMs, MAX_RETRY_AFTER_MS))) tell('as the ledger says');
    },
  };
}
