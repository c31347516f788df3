import type { Logger } from 'service-kit/logger';
import type { Claim, Transition } from '../delivery.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Outcome } from '../outcome.ts';
import type { Target } from '../target.ts';
import type { DispatchStep } from './dispatcher.ts';
import type { Leases } from './leases.ts';
import type { DeliveryMetrics } from './metrics.ts';
import type { Settled } from './settle.ts';
import { createSettleLog } from './settle-log.ts';

/** The result of a claim: of an attempt, of a read of the target, or of a claim that was not used. */
export type Result =
  | { claim: Claim; transition: Transition; outcome?: Outcome; verdict?: undefined }
  | (Settled & { outcome?: undefined });

export interface ResultsOptions {
  leg: string;
  target: Pick<Target, 'name'>;
  ledger: Pick<Ledger, 'commit'>;
  leases: Leases;
  metrics?: DeliveryMetrics | undefined;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
  onStep: (step: DispatchStep) => void;
}

/** Results that are not in the ledger yet. */
export function createResults(options: ResultsOptions) {
  const { leg, target, ledger, leases, metrics, log, now, onStep } = options;
  const tellSettled = createSettleLog({ leg, targetName: target.name, log });
  const waiting: Result[] = [];

  function tell({ claim, transition, outcome, verdict }: Result): void {
    if (outcome) metrics?.attempts.inc({ leg, outcome: outcome.kind });
    if (verdict) metrics?.settled.inc({ verdict });
    if (transition.status === 'delivered') {
      metrics?.latency.observe(Math.max(0, now() - claim.createdAt) / 1000);
    }
    if (transition.status === 'dead') {
      log.error(
        `Giving up on ${leg}/${claim.key} after ${transition.attempts} attempt(s): ${transition.lastError}. It is sent again when it is replayed.`,
      );
    }
  }

  return {
    add(...results: Result[]): void {
      waiting.push(...results);
    },

    /**
     * Writes all waiting results in one transaction, and gives up their claims.
     * @throws {LedgerError} when that fails: all of them still wait then
     */
    async commit(): Promise<void> {
      if (waiting.length === 0) return;
      const results = [...waiting];
      onStep('committing');
      const transitions = results.map(({ claim, transition }) => ({ claim, transition }));
      const lost = new Set(await ledger.commit(transitions, now()));
      onStep('committed');
      waiting.splice(0, results.length);
      for (const { claim } of results) leases.giveUp(claim);
      const written = results.filter(({ claim }) => !lost.has(claim));
      tellSettled(written.filter((result) => result.verdict !== undefined));
      for (const result of written) tell(result);
    },
  };
}
