import type { Claim } from '../delivery.ts';
import { LEASE_MS } from '../ledger/claims.ts';
import { AbortedError } from '../outcome.ts';
import type { DispatcherOptions } from './dispatcher-options.ts';

/** A call must begin this long before its lease ends. */
const MARGIN_MS = LEASE_MS / 4;
const RENEW_MS = LEASE_MS / 4;

/**
 * Until when calls about a claim may begin, by the wall clock and by the monotonic one: either may stand
 * still or jump.
 */
interface Lease {
  until: number;
  untilMonotonic: number;
}

/** The claims of one worker, and how long it holds them. */
export interface Leases {
  /** Holds what `claim` claims. The leases begin before it asks the ledger, so that they never seem too long. */
  take(claim: () => Promise<Claim[]>): Promise<Claim[]>;
  count(): number;
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

export function createLeases(options: DispatcherOptions): Leases {
  const { ledger, now, monotonicNow } = options;
  const leases = new Map<Claim, Lease>();
  let renewedAt = monotonicNow();

  function lease(): Lease {
    const usableMs = LEASE_MS - MARGIN_MS;
    return { until: now() + usableMs, untilMonotonic: monotonicNow() + usableMs };
  }

  return {
    async take(claim) {
      const until = lease();
      const claims = await claim();
      for (const each of claims) leases.set(each, until);
      return claims;
    },
    count: () => leases.size,
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
