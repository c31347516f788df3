import type { Claim } from '../delivery.ts';
import type { DeliveryStatus, Ledger } from '../ledger/ledger.ts';
import { type Finding, type Holding, ReadError, type Target } from '../target.ts';
import { allOf } from './pages.ts';

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
 * With `checkedBy`, every delivery that is delivered before the read must be in the list. If one is not, the
 * list was cut off (by a page size of its own perhaps), the target was reset, or somebody deleted records
 * there: a delivery that is not in the list may exist all the same. A million keys take 90 MB.
 *
 * @throws {ReadError} when the target could not be read to the end; nothing is known then
 * @throws {LedgerError} when the list could not be checked against the ledger
 */
export async function compare(options: {
  flow: string;
  target: Target;
  expected: readonly Claim[];
  /** Shows whether the list is whole. Default: it is not checked. */
  checkedBy?: Pick<Ledger, 'statuses'> | undefined;
  signal?: AbortSignal | undefined;
}): Promise<Comparison> {
  const { flow, target, expected, checkedBy, signal } = options;
  if (!target.list) throw new ReadError('it has no list', { system: target.name });
  const missing = new Set<string>();
  if (checkedBy) {
    for await (const { key, status } of statusesOf(checkedBy, flow)) {
      if (status === 'delivered') missing.add(key);
    }
  }
  const count = missing.size;
  const findings = await findIn(target.list(signal), expected, (identity) =>
    missing.delete(identity),
  );
  return { findings, shortfall: shortfallOf(count - missing.size, count) };
}

/** Which of these deliveries are in a list; of several entries of one, the first counts. */
export async function findIn(
  list: AsyncIterable<Pick<Holding, 'identity' | 'targetId'>>,
  expected: readonly Claim[],
  onEntry?: (identity: string) => void,
): Promise<Map<string, Finding>> {
  const wanted = new Set(expected.map(({ key }) => key));
  const findings = new Map<string, Finding>();
  for await (const { identity, targetId } of list) {
    onEntry?.(identity);
    if (wanted.delete(identity)) findings.set(identity, { kind: 'applied', targetId });
  }
  return findings;
}

/** What a list lacks, as a text that follows the name of the target; `undefined` when it lacks nothing. */
export function shortfallOf(listed: number, delivered: number): string | undefined {
  if (listed === delivered) return undefined;
  return `lists ${listed} of the ${delivered} that were delivered: was it reset, or is its list cut off?`;
}

/** The status of each delivery of a flow after a sequence number, in their order, in small queries. */
export function statusesOf(ledger: Pick<Ledger, 'statuses'>, flow: string, after = 0) {
  return allOf<DeliveryStatus>((limit, last) =>
    ledger.statuses(flow, limit, last?.sequence ?? after),
  );
}
