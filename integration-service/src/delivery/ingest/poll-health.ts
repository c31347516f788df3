import type { Degradation, Readiness } from 'service-kit/operations';
import type { PolledSource } from '../flow.ts';

export interface PollHealthOptions {
  source: Pick<PolledSource, 'name' | 'system' | 'intervalMs' | 'pause'>;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
}

/** Whether a source can be read, as the polls of all replicas show. */
export interface PollHealth {
  succeeded(): void;
  /** Another replica polled successfully at this time, Unix time in milliseconds. */
  succeededAt(time: number): void;
  /** @param reason without anything that the source sent: it is shown to anybody */
  failed(reason: string): void;
  /** A list was read that has no usable record; the reason says so. */
  uselessList(reason: string): void;
  /** This many records cannot be used and are not accepted. */
  unaccepted(count: number): void;
  /** When a poll last succeeded, Unix time in milliseconds. */
  succeededAtTime(): number | undefined;
  readiness(): Readiness;
}

export function createPollHealth({ source, now, monotonicNow }: PollHealthOptions): PollHealth {
  const { name, system, intervalMs, pause } = source;
  /** By the monotonic clock, because the wall clock may jump. */
  let succeededAtMs = Number.NEGATIVE_INFINITY;
  let failure: string | undefined;
  let isUseless = false;
  let failedAtMs = Number.NEGATIVE_INFINITY;
  let unaccepted = 0;

  function isRecent(): boolean {
    return monotonicNow() - succeededAtMs <= 3 * intervalMs;
  }

  function problem(): string | undefined {
    if (isUseless) return failure;
    const until = pause.until();
    const because = [
      failure && `The last poll of the ${system} failed: ${failure}.`,
      until && `It asks for fewer calls, and is not called until ${new Date(until).toISOString()}.`,
    ]
      .filter(Boolean)
      .join(' ');
    if (isRecent()) return because || undefined;
    const seconds = (3 * intervalMs) / 1000;
    const late = `No poll of the ${system} succeeded in the last ${seconds} seconds.`;
    return because ? `${late} ${because}` : late;
  }

  return {
    succeeded() {
      succeededAtMs = monotonicNow();
      failure = undefined;
      isUseless = false;
    },
    succeededAt(time) {
      succeededAtMs = monotonicNow() - Math.max(0, now() - time);
      if (succeededAtMs > failedAtMs) [failure, isUseless] = [undefined, false];
    },
    failed(reason) {
      [failure, isUseless] = [reason, false];
      failedAtMs = monotonicNow();
    },
    uselessList(reason) {
      [failure, isUseless] = [reason, true];
      failedAtMs = monotonicNow();
    },
    unaccepted(count) {
      unaccepted = count;
    },
    succeededAtTime() {
      const agoMs = monotonicNow() - succeededAtMs;
      return Number.isFinite(agoMs) ? Math.round(now() - agoMs) : undefined;
    },
    readiness() {
      const reason = problem();
      const degraded: Degradation[] = [];
      if (reason) degraded.push({ part: name, reason });
      if (unaccepted > 0)
        degraded.push({ part: 'unusable records', reason: sayUnaccepted(unaccepted, system) });
      return reason && (isUseless || !isRecent())
        ? { ready: false, reason, degraded }
        : { ready: true, degraded };
    },
  };
}

function sayUnaccepted(count: number, system: string): string {
  return `${count} record(s) of the ${system} cannot be used: npm run audit lists them, with --accept it accepts them.`;
}
