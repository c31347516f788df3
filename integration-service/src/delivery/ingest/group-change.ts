import { HttpError } from 'service-kit/errors';
import type { Change, Made, Make, Outcome } from '../flow.ts';
import type { LedgerTransaction, Produce } from '../ledger/ledger.ts';

interface Waiting extends PromiseWithResolvers<unknown> {
  make: Make<unknown, unknown>;
  input: unknown;
}

/** The most changes that are committed together. */
const MAX_AT_ONCE = 100;

interface GroupChangeOptions {
  /** Takes what `produce` makes, in one transaction. */
  write: (produce: Produce) => Promise<unknown>;
  /** Whether changes wait for the commit of those before them. Otherwise, each has a transaction of its own. */
  isGrouped: boolean;
}

/**
 * Commits changes that come at the same time together, in the order in which they came: a commit waits for the
 * disk, however much is in it. Neighbours of the same kind are made by one call. A change that is refused fails
 * alone; an error fails all that would have been committed with it.
 */
export function createGroupChange({ write, isGrouped }: GroupChangeOptions): Change {
  const waiting: Waiting[] = [];
  let isWriting = false;

  async function writeAll(): Promise<void> {
    isWriting = true;
    while (waiting.length > 0) await writeTogether(waiting.splice(0, MAX_AT_ONCE));
    isWriting = false;
  }

  async function writeTogether(changes: readonly Waiting[]): Promise<void> {
    const outcomes: Outcome<unknown>[] = [];
    try {
      await write(async (transaction) => {
        for (const { make, inputs } of kindsOf(changes)) {
          outcomes.push(...(await make(transaction, inputs)));
        }
        return outcomes.flatMap((each) => (each instanceof HttpError ? [] : each.items));
      });
    } catch (error) {
      changes.forEach(({ reject }, i) => {
        const outcome = outcomes[i];
        reject(outcome instanceof HttpError ? outcome : error);
      });
      return;
    }
    changes.forEach(({ resolve, reject }, i) => {
      const outcome = outcomes[i] as Outcome<unknown>;
      if (outcome instanceof HttpError) reject(outcome);
      else resolve(outcome.result);
    });
  }

  return <Input, Result>(make: Make<Input, Result>, input: Input) => {
    const entry = { make, input, ...Promise.withResolvers<unknown>() } as Waiting;
    if (!isGrouped) void writeTogether([entry]);
    else {
      waiting.push(entry);
      if (!isWriting) void writeAll();
    }
    return entry.promise as Promise<Result>;
  };
}

/** The inputs of neighbours of the same kind. */
function kindsOf(changes: readonly Waiting[]) {
  const kinds: { make: Waiting['make']; inputs: unknown[] }[] = [];
  for (const { make, input } of changes) {
    const last = kinds.at(-1);
    if (last?.make === make) last.inputs.push(input);
    else kinds.push({ make, inputs: [input] });
  }
  return kinds;
}

/** Makes changes one after another. What refuses a change throws an `HttpError` before it writes anything. */
export function oneByOne<Input, Result>(
  make: (transaction: LedgerTransaction, input: Input) => Promise<Made<Result>>,
): Make<Input, Result> {
  return async (transaction, inputs) => {
    const outcomes: Outcome<Result>[] = [];
    for (const input of inputs) {
      try {
        outcomes.push(await make(transaction, input));
      } catch (error) {
        // After an error of the database, the transaction may be over.
        if (!(error instanceof HttpError)) throw error;
        outcomes.push(error);
      }
    }
    return outcomes;
  };
}
