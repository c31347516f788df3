import { HttpError } from 'service-kit/errors';
import type { Item } from '../delivery.ts';
import type { Change } from '../flow.ts';
import type { Produce } from '../ledger/ledger.ts';

interface Waiting extends PromiseWithResolvers<void> {
  produce: Produce;
}

/** The most changes that are committed together. */
const MAX_AT_ONCE = 100;

/**
 * Commits changes that come at the same time together, in the order in which they came: a commit waits for the
 * disk, however much is in it. A change that is refused, by an `HttpError` before it writes, fails alone; any
 * other error fails all that would have been committed with it.
 *
 * @param write takes what `produce` makes, in one transaction
 */
export function createGroupChange(write: (produce: Produce) => Promise<unknown>): Change {
  const waiting: Waiting[] = [];
  let isWriting = false;

  async function writeAll(): Promise<void> {
    isWriting = true;
    while (waiting.length > 0) await writeTogether(waiting.splice(0, MAX_AT_ONCE));
    isWriting = false;
  }

  async function writeTogether(changes: readonly Waiting[]): Promise<void> {
    const refusals = new Map<Waiting, HttpError>();
    try {
      await write(async (transaction) => {
        const items: Item[] = [];
        for (const each of changes) {
          try {
            items.push(...(await each.produce(transaction)));
          } catch (error) {
            // After an error of the database, the transaction may be over.
            if (!(error instanceof HttpError)) throw error;
            refusals.set(each, error);
          }
        }
        return items;
      });
    } catch (error) {
      for (const each of changes) each.reject(refusals.get(each) ?? error);
      return;
    }
    for (const each of changes) {
      const refusal = refusals.get(each);
      if (refusal) each.reject(refusal);
      else each.resolve();
    }
  }

  return (produce) => {
    const entry = { produce, ...Promise.withResolvers<void>() };
    waiting.push(entry);
    if (!isWriting) void writeAll();
    return entry.promise;
  };
}
