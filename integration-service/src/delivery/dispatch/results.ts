import type { Result } from '../engine-event.ts';
import type { Together } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import { afterAttempt } from '../transition.ts';
import type { DispatcherOptions } from './dispatcher-options.ts';
import type { Leases } from './leases.ts';

/** Results that are not in the ledger yet. */
export function createResults(options: DispatcherOptions & { leases: Leases }) {
  const { ledger, leases, log, now, random, onEvent } = options;
  const flow = options.flow.name;
  const waiting: Result[] = [];
  const batches: { results: Result[]; together: Together; onEnd: () => void }[] = [];

  /**
   * Writes results, all or nothing; gives up their claims, and tells what became of them.
   *
   * @param takeOff called when they are written, or never can be: they wait no longer
   */
  async function write(
    results: readonly Result[],
    takeOff: () => void,
    together?: Together,
  ): Promise<void> {
    onEvent({ flow, kind: 'committing', results });
    const entries = results.map(({ outcome, ...each }) => ({ ...each, outcome: outcome?.kind }));
    const committed = await ledger.commit(entries, now(), together).catch((error: Error) => {
      if (!together || error instanceof LedgerError) throw error;
      return error.message;
    });
    takeOff();
    if (typeof committed === 'string') return fail(results, committed);
    for (const { claim } of results) leases.giveUp(claim);
    const [lost, superseded] = [new Set(committed.lost), new Set(committed.superseded)];
    const written = results.filter(({ claim }) => !lost.has(claim));
    onEvent({
      ...{ flow, kind: 'committed' },
      results: written.map((each) => ({ ...each, isSuperseded: superseded.has(each.claim) })),
    });
  }

  /** Of a batch that cannot be written with what must be true with it, nobody knows what became. */
  function fail(results: readonly Result[], reason: string): void {
    log.error(`A batch of ${results.length} of ${flow} cannot be committed: ${reason}.`);
    const moment = { now: now(), random };
    const outcome = { kind: 'unknown', reason } as const;
    for (const { claim } of results) {
      const transition = afterAttempt(claim, outcome, options.flow, moment);
      waiting.push({ claim, outcome, transition });
    }
  }

  return {
    add(results: Result[]): void {
      waiting.push(...results);
    },

    /**
     * @param together written with these results, or neither is
     * @param onEnd called when they are written, or never can be
     */
    addBatch(results: Result[], together: Together, onEnd: () => void): void {
      batches.push({ results, together, onEnd });
    },

    /**
     * Writes all waiting results: in one transaction, but for the batches that have one of their own.
     * @throws {LedgerError} when that fails: what is not written still waits then
     */
    async commit(): Promise<void> {
      for (let batch = batches[0]; batch; batch = batches[0]) {
        const { results, together, onEnd } = batch;
        await write(results, () => batches.shift(), together);
        onEnd();
      }
      if (waiting.length === 0) return;
      const results = [...waiting];
      await write(results, () => waiting.splice(0, results.length));
    },
  };
}
