import type { Claim } from '../delivery.ts';
import type { Flow } from '../flow.ts';
import { toClaim } from '../ledger/claims.ts';
import type { DeliveryFilter, Ledger } from '../ledger/ledger.ts';
import type { DeliveryRow } from '../ledger/tables.ts';
import { ReadError } from '../target.ts';
import { canCompare } from '../transition.ts';
import { compare } from './compare.ts';
import { allOf } from './pages.ts';

/** What a replay did with a dead letter, or would do; `no_longer_dead` when another replay came first. */
export const REPLAY_VERDICTS = ['to_send', 'already_delivered', 'no_longer_dead'] as const;
export type ReplayVerdict = (typeof REPLAY_VERDICTS)[number];

/** How many dead letters matched, and how many of them have each verdict. */
export interface ReplayReport extends Record<ReplayVerdict, number> {
  matched: number;
  deliveries: { flow: string; key: string; verdict: ReplayVerdict }[];
}

/**
 * Asks the targets about dead letters. Those that a target already has become delivered. The others become
 * pending, and a running service sends them. With `dryRun`, nothing is changed.
 *
 * @param flows those whose targets can be asked
 * @throws {ReadError} when a target gave no usable answer, or does not list a dead letter and lacks what was
 *   delivered; nothing is changed then
 */
export async function replay(options: {
  ledger: Ledger;
  flows: readonly Pick<Flow, 'name' | 'target' | 'policy'>[];
  filter: DeliveryFilter;
  dryRun: boolean;
  /**
   * Treats a list as complete even if it lacks what was delivered, because the target was reset, say.
   * Default: no.
   */
  trustList?: boolean;
  now: () => number;
}): Promise<ReplayReport> {
  const { ledger, flows, filter, dryRun, trustList = false, now } = options;
  const dead: Claim[] = [];
  const rows = allOf<DeliveryRow>((limit, last) =>
    ledger.list({ ...filter, status: 'dead' }, limit, { after: last?.sequence }),
  );
  for await (const row of rows) {
    // Nobody can ask the target of a flow that is off.
    if (flows.some(({ name }) => name === row.flow)) dead.push(toClaim(row));
  }

  /** The target's ids, by sequence number. */
  const found = new Map<number, string>();
  for (const { name: flow, target, policy } of flows) {
    const expected = dead.filter((claim) => claim.flow === flow);
    // To send again does no harm at a repeatable target: it need not be asked.
    if (expected.length === 0 || target.isRepeatable) continue;
    const { findings, shortfall } =
      target.lookUp && !canCompare({ target, policy })
        ? { findings: await target.lookUp(expected, undefined), shortfall: undefined }
        : await compare({ flow, target, expected, checkedBy: trustList ? undefined : ledger });
    if (shortfall && findings.size < expected.length) throw notWhole(target.name, shortfall);
    for (const claim of expected) {
      const finding = findings.get(claim.key);
      if (finding?.kind === 'applied') found.set(claim.sequence, finding.targetId);
    }
  }

  const sequences = dead.map(({ sequence }) => sequence);
  const toSend = sequences.filter((sequence) => !found.has(sequence));
  const moved = new Set(
    dryRun
      ? sequences
      : [...(await ledger.markFound(found, now())), ...(await ledger.replay(toSend, now()))],
  );
  const deliveries = dead.map(({ flow, key, sequence }): ReplayReport['deliveries'][number] => {
    const verdict = found.has(sequence) ? 'already_delivered' : 'to_send';
    return { flow, key, verdict: moved.has(sequence) ? verdict : 'no_longer_dead' };
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
