import type { Degradation, Readiness } from 'service-kit/operations';
import { withoutExcerpt } from '../../http/response.ts';
import type { Pause } from '../dispatch/pauses.ts';

export interface PollHealthOptions {
  pollingIntervalMs: number;
  /** The pause of the CRM. */
  pause: Pick<Pause, 'until'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** Whether the CRM can be read, as the polls of all replicas show. */
export function createPollHealth({ pollingIntervalMs, pause, now }: PollHealthOptions) {
  /** By the monotonic clock, because the wall clock may jump. */
  let succeededAtMs = Number.NEGATIVE_INFINITY;
  let failure: string | undefined;
  let isUseless = false;
  let failedAtMs = Number.NEGATIVE_INFINITY;
  let unaccepted = 0;

  function isRecent(): boolean {
    return performance.now() - succeededAtMs <= 3 * pollingIntervalMs;
  }

  function problem(): string | undefined {
    if (isUseless) return failure;
    const until = pause.until();
    const because = [
      failure && `The last poll of the CRM failed: ${failure}.`,
      until && `It asks for fewer calls, and is not called until ${new Date(until).toISOString()}.`,
    ]
      .filter(Boolean)
      .join(' ');
    if (isRecent()) return because || undefined;
    const seconds = (3 * pollingIntervalMs) / 1000;
    const late = `No poll of the CRM succeeded in the last ${seconds} seconds.`;
    return because ? `${late} ${because}` : late;
  }

  return {
    succeeded(): void {
      succeededAtMs = performance.now();
      failure = undefined;
      isUseless = false;
    },
    /** Another replica polled successfully at this time, Unix time in milliseconds. */
    succeededAt(time: number): void {
      succeededAtMs = performance.now() - Math.max(0, now() - time);
      if (succeededAtMs > failedAtMs) [failure, isUseless] = [undefined, false];
    },
    failed(reason: string): void {
      [failure, isUseless] = [withoutExcerpt(reason), false];
      failedAtMs = performance.now();
    },
    /** A list was read that has no usable record; the reason says so. */
    uselessList(reason: string): void {
      [failure, isUseless] = [reason, true];
      failedAtMs = performance.now();
    },
    /** This many records cannot be used and are not accepted. */
    unaccepted(count: number): void {
      unaccepted = count;
    },

    /** When a poll last succeeded, Unix time in milliseconds. */
    succeededAtTime(): number | undefined {
      const agoMs = performance.now() - succeededAtMs;
      return Number.isFinite(agoMs) ? Math.round(now() - agoMs) : undefined;
    },

    readiness(): Readiness {
      const reason = problem();
      const degraded: Degradation[] = [];
      if (reason) degraded.push({ part: 'crm', reason });
      if (unaccepted > 0)
        degraded.push({ part: 'unusable records', reason: sayUnaccepted(unaccepted) });
      return reason && (isUseless || !isRecent())
        ? { ready: false, reason, degraded }
        : { ready: true, degraded };
    },
  };
}

function sayUnaccepted(count: number): string {
  return `${count} record(s) of the CRM cannot be used: npm run audit lists them, with --accept it accepts them.`;
}

export type PollHealth = ReturnType<typeof createPollHealth>;
