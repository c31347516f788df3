import type { Claim } from '../delivery.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type Finding, ReadError, type Target } from '../target.ts';
import { createDeliveredCheck } from './delivered-check.ts';

/** Which of the expected deliveries a target has. */
export interface Comparison {
  /** What the target holds of them, by key. */
  findings: Map<string, Finding>;
  /** Why the target may have more (its list lacks what was delivered), as a text that follows its name. */
  shortfall: string | undefined;
}

/**
 * Compares deliveries with everything that a target holds, in one read.
 *
 * @throws {ReadError} when the target could not be read to the end; nothing is known then
 * @throws {LedgerError} when the list could not be checked against the ledger
 */
export async function compare(options: {
  flow: string;
  target: Target;
  expected: readonly Claim[];
  /** Shows whether the list is whole. Default: it is not checked. */
  checkedBy?: Pick<Ledger, 'deliveredSequences' | 'sequencesOf'> | undefined;
  signal?: AbortSignal | undefined;
}): Promise<Comparison> {
  const { flow, target, expected, checkedBy, signal } = options;
  if (!target.list) throw new ReadError('it has no list', { system: target.name });
  const check = checkedBy && (await createDeliveredCheck(checkedBy, flow));
  const wanted = new Set(expected.map(({ key }) => key));
  const findings = new Map<string, Finding>();
  for await (const { identity, targetId } of target.list(signal)) {
    if (wanted.has(identity) && !findings.has(identity)) {
      findings.set(identity, { kind: 'applied', targetId });
    }
    const checking = check?.see(identity);
    if (checking) await checking;
  }
  return { findings, shortfall: await check?.shortfall() };
}
