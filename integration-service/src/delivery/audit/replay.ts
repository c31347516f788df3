import type { Claim } from '../delivery.ts';
import { findAtTarget } from '../dispatch/settle.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { DeliveryFilter } from '../ledger/reading.ts';
import { ReadError, type Target } from '../target.ts';

/** What a replay did with a dead letter, or would do; `no_longer_dead` when another replay came first. */
export const REPLAY_VERDICTS = ['to_send', 'already_delivered', 'no_longer_dead'] as const;
export type ReplayVerdict = (typeof REPLAY_VERDICTS)[number];

/** How many dead letters matched, and how many of them have each verdict. */
export interface ReplayReport extends Record<ReplayVerdict, number> {
  matched: number;
  deliveries: { leg: string; key: string; verdict: ReplayVerdict }[];
}

const PAGE = 1_000;

/**
 * Asks the targets about dead letters. Those that a target already has become delivered. The others become
 * pending, and a running service sends them. With `dryRun`, nothing is changed.
 *
 * @param targets by leg
 * @throws {ReadError} when a target gave no usable answer, or does not list a dead letter and lacks what was
 *   delivered; nothing is changed then
 */
export async function replay(options: {
  ledger: Ledger;
  targets: Record<string, Target>;
  filter: Omit<DeliveryFilter, 'status'>;
  dryRun: boolean;
  /**
   * Treats a list as complete even if it lacks what was delivered, because the target was reset, say.
   * Default: no.
   */
  trustList?: boolean;
  now: () => number;
}): Promise<ReplayReport> {
  const { ledger, targets, filter, dryRun, trustList = false, now } = options;
  const dead: Claim[] = [];
  for (;;) {
    const page = await ledger.deadLetters(filter, PAGE, dead.at(-1)?.sequence);
    dead.push(...page);
    if (page.length < PAGE) break;
  }

  /** The target's ids, by sequence number. */
  const found = new Map<number, string>();
  for (const [leg, target] of Object.entries(targets)) {
    const ofLeg = dead.filter((claim) => claim.leg === leg);
    if (ofLeg.length === 0) continue;
    const { findings, shortfall } = await findAtTarget({
      ...{ leg, target, claims: ofLeg, mayFilter: false },
      checkedBy: trustList ? undefined : ledger,
    });
    if (shortfall && findings.size < ofLeg.length) throw notWhole(target.name, shortfall);
    for (const claim of ofLeg) {
      const evidence = findings.get(claim.key);
      if (evidence !== undefined) found.set(claim.sequence, evidence);
    }
  }

  const sequences = dead.map(({ sequence }) => sequence);
  const toSend = sequences.filter((sequence) => !found.has(sequence));
  const moved = new Set(
    dryRun
      ? sequences
      : [...(await ledger.markFound(found, now())), ...(await ledger.replay(toSend, now()))],
  );
  const deliveries = dead.map(({ leg, key, sequence }): ReplayReport['deliveries'][number] => {
    const verdict = found.has(sequence) ? 'already_delivered' : 'to_send';
    return { leg, key, verdict: moved.has(sequence) ? verdict : 'no_longer_dead' };
  });
  const count = (verdict: ReplayVerdict) =>
    deliveries.filter((delivery) => delivery.verdict === verdict).length;
  return {
    matched: dead.length,
    to_send: count('to_send'),
    already_delivered: count('already_delivered'),
    no_longer_dead: count('no_longer_dead'),
    deliveries,
  };
}

function notWhole(system: string, shortfall: string): ReadError {
  const what = `it ${shortfall} With trust_list (--trust-list), what it does not list is sent again`;
  return new ReadError(what, { system });
}
