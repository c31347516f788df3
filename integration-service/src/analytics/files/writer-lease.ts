import type { Ledger } from '../../delivery/ledger/ledger.ts';

/** How long it lasts after the process that has it is killed. */
const LEASE_MS = 5_000;

/** The right to write, of one process among those that share a ledger. */
export interface WriterLease {
  /** Takes or renews it; whether this process has it now. */
  take(): Promise<boolean>;
  release(): Promise<void>;
}

export interface WriterLeaseOptions {
  ledger: Pick<Ledger, 'hasOneWriter' | 'takePollLease' | 'endPollLease'>;
  flow: string;
  /** Unix time in milliseconds. */
  now: () => number;
}

/**
 * Beside the lock of the folder, for processes that share a ledger and no folder. All that share a SQLite file are
 * on one machine: there, the lock alone decides.
 */
export function createWriterLease({ ledger, flow, now }: WriterLeaseOptions): WriterLease {
  const of = { flow, source: 'files' };
  let endsAt: number | undefined;

  return {
    async take() {
      if (ledger.hasOneWriter) return true;
      if (endsAt !== undefined && endsAt - now() > LEASE_MS / 2 && endsAt - now() <= LEASE_MS)
        return true;
      const lease = await ledger.takePollLease(of, {
        ...{ now: now(), forMs: LEASE_MS, maxMs: 2 * LEASE_MS, ownEndsAt: endsAt },
      });
      endsAt = lease.kind === 'mine' ? lease.endsAt : undefined;
      return endsAt !== undefined;
    },
    async release() {
      if (endsAt === undefined) return;
      endsAt = undefined;
      await ledger.endPollLease(of, now());
    },
  };
}
