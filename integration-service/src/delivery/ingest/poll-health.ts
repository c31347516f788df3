import type { Degradation, Readiness } from 'service-kit/operations';
import type { Clocks } from '../clocks.ts';
import type { PolledSource } from '../flow.ts';

/** Whether a source can be read, as the polls of all replicas show. */
export function createPollHealth(options: Clocks & { source: PolledSource }) {
  const { source, now, monotonicNow } = options;
  const { name, system, intervalMs, pause } = source;
  /** By the monotonic clock, because the wall clock may jump. */
  let succeededAtMs = Number.NEGATIVE_INFINITY;
  let failure: { reason: string; isOfUselessList: boolean; atMs: number } | undefined;
  let unaccepted = 0;

  function isRecent(): boolean {
    return monotonicNow() - succeededAtMs <= 3 * intervalMs;
  }

  function problem(): string | undefined {
    if (failure?.isOfUselessList) return failure.reason;
    const until = pause.until();
    const because = [
      failure && `The last poll of the ${system} failed: ${failure.reason}.`,
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
    /** @param agoMs how long ago another replica polled successfully. Default: this one just has */
    succeeded(agoMs = 0): void {
      succeededAtMs = monotonicNow() - Math.max(0, agoMs);
      if (failure && succeededAtMs >= failure.atMs) failure = undefined;
    },
    /**
     * @param reason without anything that the source sent: it is shown to anybody
     * @param isOfUselessList a list was read that has no usable record; the reason says so. Default: false
     */
    failed(reason: string, isOfUselessList = false): void {
      failure = { reason, isOfUselessList, atMs: monotonicNow() };
    },
    /** This many records cannot be used and are not accepted. */
    unaccepted(count: number): void {
      unaccepted = count;
    },
    /** When a poll last succeeded, Unix time in milliseconds. */
    succeededAt(): number | undefined {
      const agoMs = monotonicNow() - succeededAtMs;
      return Number.isFinite(agoMs) ? Math.round(now() - agoMs) : undefined;
    },
    readiness(): Readiness {
      const reason = problem();
      const degraded: Degradation[] = [];
      if (reason) degraded.push({ part: name, reason });
      if (unaccepted > 0)
        degraded.push({ part: 'unusable records', reason: sayUnaccepted(unaccepted, system) });
      return reason && (failure?.isOfUselessList || !isRecent())
        ? { ready: false, reason, degraded }
        : { ready: true, degraded };
    },
  };
}

function sayUnaccepted(count: number, system: string): string {
  return `${count} record(s) of the ${system} cannot be used: npm run audit lists them, with --accept it accepts them.`;
}
