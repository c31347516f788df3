import type { Claim } from '../delivery.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { LEASE_MS } from '../ledger/work.ts';
import { AbortedError } from '../outcome.ts';

/** A call must begin this long before its lease ends. */
const MARGIN_MS = LEASE_MS / 4;
const RENEW_MS = LEASE_MS / 4;

/**
 * Until when calls about a claim may begin, by the wall clock and by the monotonic one: either may stand
 * still or jump.
 */
export interface Lease {
  until: number;
  untilMonotonic: number;
}

export interface LeasesOptions {
  ledger: Pick<Ledger, 'renew'>;
  /** Unix time in milliseconds. */
  now: () => number;
  /** Milliseconds of a clock that never jumps. */
  monotonicNow: () => number;
}

/** The claims of one worker, and how long it holds them. */
export interface Leases {
  /** A lease that begins now. Take it before asking the ledger, so that it never seems too long. */
  lease(): Lease;
  count(): number;
  hold(claim: Claim, until: Lease): void;
  giveUp(claim: Claim): void;
  /** Renews the leases of all claims, if it is time to. */
  renew(): Promise<void>;
  /**
   * Call it right before a request is sent: a process that was suspended for a while may have lost its
   * claim.
   *
   * @throws {AbortedError} when the lease is over
   */
  assert(claim: Claim): void;
}

export function createLeases({ ledger, now, monotonicNow }: LeasesOptions): Leases {
  const leases = new Map<Claim, Lease>();
  let renewedAt = monotonicNow();

  function lease(): Lease {
    const usableMs = LEASE_MS - MARGIN_MS;
    return { until: now() + usableMs, untilMonotonic: monotonicNow() + usableMs };
  }

  return {
    lease,
    count: () => leases.size,
    hold: (claim, until) => void leases.set(claim, until),
    giveUp: (claim) => void leases.delete(claim),
    async renew() {
      if (monotonicNow() - renewedAt < RENEW_MS || leases.size === 0) return;
      const until = lease();
      renewedAt = monotonicNow();
      const claims = [...leases.keys()];
      const lost = await ledger.renew(claims, now());
      for (const claim of claims) if (leases.has(claim)) leases.set(claim, until);
      for (const claim of lost) leases.set(claim, { until: 0, untilMonotonic: 0 });
    },
    assert(claim) {
      const held = leases.get(claim);
      if (held && now() < held.until && monotonicNow() < held.untilMonotonic) return;
      throw new AbortedError('not sent, because its lease ran out');
    },
  };
}
