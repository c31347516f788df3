import { LEASE_MS } from '../ledger/claims.ts';
import type { Ledger, PollLease, SourceId } from '../ledger/ledger.ts';

/** A lease is kept for the next poll only if that poll begins at least this long before the lease ends. */
const MARGIN_MS = LEASE_MS / 4;

export interface PollLeaseOptions {
  of: SourceId;
  ledger: Pick<Ledger, 'takePollLease' | 'endPollLease' | 'isAlone'>;
  intervalMs: number;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Called when a lease could not be renewed. */
  onError: (error: unknown) => void;
}

/**
 * The lease to poll a source: of several replicas, one polls. A process that is alone on its ledger and polls
 * often keeps the lease from one poll to the next, so that it writes to the ledger once per poll when idle.
 */
export function createPollLease({ of, ledger, intervalMs, now, onError }: PollLeaseOptions) {
  const longestMs = Math.max(intervalMs, LEASE_MS);
  let isFirst = true;
  let endsAt: number | undefined;
  let extending = Promise.resolve();
  /** The ledger knows of a successful poll of this process. */
  let isTold = false;

  async function extend(): Promise<void> {
    const until = now() + LEASE_MS;
    await ledger.endPollLease(of, until);
    endsAt = until;
  }

  async function endAt(time: number, polledAt: number | undefined): Promise<void> {
    endsAt = undefined;
    await ledger.endPollLease(of, time, polledAt);
  }

  return {
    /** @param polledAt when this process last polled with success, Unix time in milliseconds */
    async take(polledAt: number | undefined): Promise<PollLease> {
      // No other process works on the ledger: the lease belongs to a process that has ended.
      const isOrphaned = isFirst && ledger.isAlone;
      isFirst = false;
      isTold ||= polledAt !== undefined;
      const lease = await ledger.takePollLease(of, {
        ...{ now: now(), forMs: LEASE_MS },
        // A longer one was written under a wrong clock; the clocks of replicas differ a bit.
        maxMs: isOrphaned ? 0 : 2 * longestMs,
        ...{ ownEndsAt: endsAt, polledAt },
      });
      endsAt = lease.kind === 'mine' ? lease.endsAt : undefined;
      return lease;
    },

    /** Renews the lease for as long as `run` runs. */
    async keepWhile(run: () => Promise<void>): Promise<void> {
      const timer = setInterval(() => {
        extending = extend().catch(onError);
      }, LEASE_MS / 4);
      try {
        await run();
      } finally {
        clearInterval(timer);
        await extending;
      }
    },

    /**
     * @param waitMs how long this process waits until its next poll. Others may poll sooner if the source
     *   refuses the credentials of this one
     */
    async end(waitMs: number, polledAt: number | undefined): Promise<void> {
      const isLongEnough = endsAt !== undefined && now() + waitMs + MARGIN_MS <= endsAt;
      if (ledger.isAlone && isTold && isLongEnough) return;
      isTold ||= polledAt !== undefined;
      await endAt(now() + Math.min(waitMs, longestMs), polledAt);
    },

    /** Ends the lease, if this process has it: it does not poll any more. */
    async release(polledAt: number | undefined): Promise<void> {
      if (endsAt !== undefined) await endAt(now(), polledAt);
    },
  };
}
