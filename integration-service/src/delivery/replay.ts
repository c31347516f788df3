import type { Claim } from './delivery.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { DeliveryFilter } from './ledger/reading.ts';
import { findAtTarget } from './settle.ts';
import type { Target } from './target.ts';

export interface ReplayReport {
  matched: number;
  to_send: number;
  already_delivered: number;
  deliveries: { leg: string; key: string; verdict: 'to_send' | 'already_delivered' }[];
}

const PAGE = 1_000;

/**
 * Asks the targets about dead letters. What a target already has becomes delivered, the rest pending,
 * for a running service to send; with `dryRun`, nothing is changed.
 *
 * @param targets by leg
 * @throws {ReadError} when a target could not be asked; nothing is changed then
 */
export async function replay(options: {
  ledger: Ledger;
  targets: Record<string, Target>;
  filter: Omit<DeliveryFilter, 'status'>;
  dryRun: boolean;
  now: () => number;
}): Promise<ReplayReport> {
  const { ledger, targets, filter, dryRun, now } = options;
  const dead: Claim[] = [];
  for (;;) {
    const page = await ledger.deadLetters(filter, PAGE, dead.at(-1)?.sequence);
    dead.push(...page);
    if (page.length < PAGE) break;
  }

  const evidence = new Map<Claim, string>();
  for (const [leg, target] of Object.entries(targets)) {
    const ofLeg = dead.filter((claim) => claim.leg === leg);
    if (ofLeg.length === 0) continue;
    const findings = await findAtTarget(target, ofLeg, { mayFilter: false });
    for (const claim of ofLeg) {
      const found = findings.get(claim.key);
      if (found !== undefined) evidence.set(claim, found);
    }
  }

  const toSend = dead.filter((claim) => !evidence.has(claim));
  if (!dryRun) {
    const found = new Map([...evidence].map(([{ sequence }, id]) => [sequence, id]));
    await ledger.markFound(found, now());
    await ledger.replay(
      toSend.map(({ sequence }) => sequence),
      now(),
    );
  }
  return {
    matched: dead.length,
    to_send: toSend.length,
    already_delivered: evidence.size,
    deliveries: dead.map((claim) => ({
      leg: claim.leg,
      key: claim.key,
      verdict: evidence.has(claim) ? 'already_delivered' : 'to_send',
    })),
  };
}
