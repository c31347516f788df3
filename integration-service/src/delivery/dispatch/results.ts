import type { Result } from '../engine-event.ts';
import type { Committed, Together } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import { afterAttempt } from '../transition.ts';
import type { DispatcherOptions } from './dispatcher-options.ts';
import type { Leases } from './leases.ts';

/** Results of a batch that are written with something else, or not at all. */
interface Batch {
  results: Result[];
  together: Together;
}

/** Results that are not in the ledger yet. */
export function createResults(options: DispatcherOptions & { leases: Leases }) {
  const { ledger, leases, log, now, random, onEvent } = options;
  const flow = options.flow.name;
  const waiting: Result[] = [];
  const batches: Batch[] = [];

  /** Gives up the claims of results that are written, and tells what became of them. */
  function tell(results: readonly Result[], committed: Committed): void {
    for (const { claim } of results) leases.giveUp(claim);
    const [lost, superseded] = [new Set(committed.lost), new Set(committed.superseded)];
    const written = results.filter(({ claim }) => !lost.has(claim));
    onEvent({
      ...{ flow, kind: 'committed' },
      results: written.map((each) => ({ ...each, isSuperseded: superseded.has(each.claim) })),
    });
  }

  async function writeBatch({ results, together }: Batch): Promise<void> {
    onEvent({ flow, kind: 'committing', results });
    const reason = await ledger.commit(results.map(toEntry), now(), together).then(
      (committed) => tell(results, committed),
      (error: Error) => {
        if (error instanceof LedgerError) throw error;
        return error.message;
      },
    );
    if (reason === undefined) return;
    log.error(`A batch of ${results.length} of ${flow} cannot be committed: ${reason}.`);
    const moment = { now: now(), random };
    const outcome = { kind: 'unknown', reason } as const;
    waiting.push(
      ...results.map(({ claim }) => {
        return { claim, outcome, transition: afterAttempt(claim, outcome, options.flow, moment) };
      }),
    );
  }

  return {
    add(...results: Result[]): void {
      waiting.push(...results);
    },

    /** Adds the results of a batch that are written with `together`, or not at all. */
    addTogether(results: Result[], together: Together): void {
      batches.push({ results, together });
    },

    /**
     * Writes all waiting results: in one transaction, but for the batches that have one of their own.
     * @throws {LedgerError} when that fails: what is not written still waits then
     */
    async commit(): Promise<void> {
      for (let batch = batches[0]; batch; batch = batches[0]) {
        await writeBatch(batch);
        batches.shift();
      }
      if (waiting.length === 0) return;
      const results = [...waiting];
      onEvent({ flow, kind: 'committing', results });
      const committed = await ledger.commit(results.map(toEntry), now());
      waiting.splice(0, results.length);
      tell(results, committed);
    },
  };
}

function toEntry({ claim, transition, outcome }: Result) {
  return { claim, transition, outcome: outcome?.kind };
}
