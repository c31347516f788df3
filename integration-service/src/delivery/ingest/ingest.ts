import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import { chunksOf } from '../chunks.ts';
import type { Item } from '../delivery.ts';
import type { OnEvent } from '../engine-event.ts';
import type { Flow } from '../flow.ts';
import {
  INGEST_RESULTS,
  type IngestCounts,
  type Ingested,
  type Ledger,
  type Produce,
  type Together,
} from '../ledger/ledger.ts';
import type { SurgeGuard } from './surge-guard.ts';

/** Items that are committed together: few, so that others who write get their turn. */
const CHUNK = 1_000;

export interface IngestContext {
  flow: Pick<Flow, 'name' | 'policy'>;
  ledger: Pick<Ledger, 'ingest'>;
  log: Logger;
  /** Called when there are new deliveries. */
  onIngested: () => void;
  onEvent: OnEvent;
  /** Unix time in milliseconds. */
  now: () => number;
}

export interface ChunkOptions {
  /** Written with the last chunk. Default: nothing more is written. */
  together?: Together | undefined;
  /** Stops after a chunk, without writing `together`. Default: never. */
  signal?: AbortSignal | undefined;
  /** Called before new items are logged. */
  onFresh?: () => void;
}

export interface ListOptions extends ChunkOptions {
  /** What people call an item: `customer`. */
  noun: string;
  guard: SurgeGuard;
}

/** Writes items into the ledger. Each is new only once, whichever source shows it first. */
export interface Ingest {
  /**
   * Takes a list of any length, in chunks of a thousand, each a transaction.
   *
   * @throws {LedgerError} when items cannot be committed
   */
  list(items: Iterable<Item>, options: ListOptions): Promise<IngestCounts>;
  /**
   * Takes what each of `produces` makes, in their order, each in a transaction.
   *
   * @throws {LedgerError}, or what one of them throws; those before it are committed then
   */
  chunks(produces: Iterable<Produce>, options: ChunkOptions): Promise<IngestCounts>;
  /**
   * Takes what `produce` makes, in one transaction with whatever else it writes.
   *
   * @throws {LedgerError}, or what `produce` throws; nothing is written then
   */
  change(produce: Produce): Promise<IngestCounts>;
}

export function createIngest(context: IngestContext): Ingest {
  const { flow, ledger, log, onIngested, onEvent, now } = context;
  const rules = { name: flow.name, ...flow.policy };
  const logLimited = createRateLimitedLog(log);

  async function write(produce: Produce, isHeld = false): Promise<Ingested> {
    onEvent({ flow: flow.name, kind: 'ingesting' });
    const ingested = await ledger.ingest(rules, produce, { now: now(), isHeld });
    const { items, ...counts } = ingested;
    onEvent({ flow: flow.name, kind: 'ingested', items, counts });
    if (items.length > 0) onIngested();
    return ingested;
  }

  async function list(items: Iterable<Item>, options: ListOptions): Promise<IngestCounts> {
    const { noun, guard, signal } = options;
    const isHeld = await guard.isSurge(items, signal);
    // In one transaction, if they are held: after a crash half way, the rest would be too few to be held.
    const parts = isHeld ? [items].values() : chunksOf(items, CHUNK);
    const produces = parts.map((part): Produce => {
      return async () => (signal && isHeld ? whileNotAborted(part, signal) : part);
    });
    const total = await chunks(produces, { ...options, isHeld }, (fresh) => {
      for (const { label = 'unnamed', lane } of fresh) {
        logLimited(`new ${noun}s`, `Found new ${noun}: ${label} (ID: ${lane})`);
      }
    });
    guard.count(total);
    return total;
  }

  async function chunks(
    produces: Iterator<Produce>,
    { together, signal, onFresh, isHeld = false }: ChunkOptions & { isHeld?: boolean },
    onNew: (items: readonly Item[]) => void = () => {},
  ): Promise<IngestCounts> {
    const total: IngestCounts = { new: 0, known: 0, held: 0, superseded: 0 };
    for (let next = produces.next(), isLast = false; !isLast && !signal?.aborted; ) {
      const produce = next.value;
      next = produces.next();
      isLast = next.done === true;
      const { items: fresh, ...counts } = await write(async (transaction) => {
        if (isLast) await together?.(transaction);
        return (await produce?.(transaction)) ?? [];
      }, isHeld);
      for (const result of INGEST_RESULTS) total[result] += counts[result];
      if (fresh.length > 0) onFresh?.();
      onNew(fresh);
      await yieldToOthers();
    }
    return total;
  }

  return {
    list,
    chunks: (produces, options) => chunks(produces[Symbol.iterator](), options),
    change: (produce) => write(produce),
  };
}

function* whileNotAborted(items: Iterable<Item>, signal: AbortSignal): Generator<Item> {
  for (const item of items) {
    signal.throwIfAborted();
    yield item;
  }
}
