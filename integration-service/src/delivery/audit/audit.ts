import { setTimeout as sleep } from 'node:timers/promises';
import type { Clocks } from '../clocks.ts';
import type { Flow } from '../flow.ts';
import type { Ledger, RejectedRecord } from '../ledger/ledger.ts';
import { ReadError } from '../target.ts';
import { type AuditBook, type AuditKind, createAuditBook, DRIFT } from './audit-book.ts';
import { shortfallOf, statusesOf } from './compare.ts';

export interface AuditReport {
  /** How many customers of each kind. */
  counts: Record<AuditKind, number>;
  hasDrift: boolean;
  /** How many became pending. */
  repaired: number;
  /** How many were not repaired, because the target's list may be cut off. */
  unrepaired: number;
  /** How the target's list falls short of what was delivered, as a text that follows the target's name. */
  shortfall: string | undefined;
  /** How many keys the ledger knows, if the source shows none of them: the source was probably reset. */
  lostBySource: number | undefined;
  /** The keys of one kind, in order. */
  keysOf(kind: AuditKind): IteratorObject<string>;
  /** Releases the temporary file of the report. */
  close(): void;
}

export interface AuditOptions extends Clocks {
  flow: Pick<Flow, 'name' | 'target' | 'policy' | 'audit'>;
  /** Called with every record of the source that cannot become an item, each time it is read. */
  onUnusable: (record: RejectedRecord) => void;
  ledger: Ledger;
  /** Makes missing deliveries pending. */
  repair: boolean;
  /**
   * Treats a list of the target as complete even if it lacks what was delivered. Otherwise such deliveries
   * are not repaired: a list that is cut off looks the same, and everything after the cut would be sent
   * again. Default: no.
   */
  trustList?: boolean;
}

const RECHECK_MS = 500;
/** A generous upper limit for the duration of a poll. */
const POLL_MS = 5_000;

/**
 * Compares source, ledger and target. Sends nothing itself. It can run beside a service because of the
 * order in which it reads: the source first, then the ledger, then the target. What may have changed
 * meanwhile is checked again before it counts as drift. Everything streams into a temporary file, so that
 * memory does not grow with the number of customers.
 *
 * @throws {ReadError} {@link LedgerError} {@link Error} when source, ledger or target could not be read to
 *   the end; there is no report then
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { flow, onUnusable, ledger, now } = options;
  const { name, target } = flow;
  const readSource = () => flow.audit.expected(onUnusable);
  const book = createAuditBook();
  try {
    for await (const item of readSource()) book.enterSource(item);
    const sequence = await enterLedger(options, book, 0);
    if (!target.list) throw new ReadError('it has no list', { system: target.name });
    for await (const holding of target.list()) book.enterTarget(holding);
    if (book.hasUnknown()) await waitForPoll(options, book, sequence);
    // Only keys that are in the book: a customer that is new now was not looked up in ledger and target.
    if (book.hasOrphans()) {
      for await (const item of readSource()) book.enterSourceOfKnown(item);
    }

    const counts = book.counts();
    const drift = DRIFT.map((kind) => [kind, counts[kind]] as const);
    await ledger.saveAudit(name, Object.fromEntries(drift), now());
    const { known, shown, delivered, listed } = book.totals();
    return {
      ...(options.repair && counts.missing > 0
        ? await repair(options, book)
        : { repaired: 0, unrepaired: 0 }),
      counts,
      shortfall: shortfallOf(listed, delivered),
      lostBySource: shown === 0 && known > 0 ? known : undefined,
      hasDrift: drift.some(([, count]) => count > 0),
      keysOf: book.keysOf,
      close: book.close,
    };
  } catch (error) {
    book.close();
    throw error;
  }
}

/** Makes those missing deliveries pending that the source still shows. */
async function repair(
  { flow, ledger, trustList = false, now }: AuditOptions,
  book: AuditBook,
): Promise<Pick<AuditReport, 'repaired' | 'unrepaired'>> {
  let [repaired, unrepaired] = [0, 0];
  const rules = { name: flow.name, ...flow.policy };
  for await (const item of flow.audit.expected()) {
    const found = book.missing(item.key);
    if (found === 'delivered' && !trustList) unrepaired += 1;
    if (found === 'delivered' && trustList) {
      const reasons = new Map([[item.key, 'an audit found that the target does not have it']]);
      repaired += await ledger.sendAgain(flow.name, reasons, { now: now() });
    }
    // `ingest` leaves alone what has been ingested, and maybe delivered, since the ledger was read.
    if (found === 'notIngested') {
      repaired += (await ledger.ingest(rules, async () => [item], { now: now() })).new;
    }
  }
  return { repaired, unrepaired };
}

/** Enters what the ledger has after a sequence number; returns the last one. */
async function enterLedger(
  { flow, ledger }: AuditOptions,
  book: AuditBook,
  after: number,
  enter = book.enterLedger,
): Promise<number> {
  let last = after;
  for await (const { key, status, sequence } of statusesOf(ledger, flow.name, after)) {
    enter(key, status);
    last = sequence;
  }
  return last;
}

/**
 * Lets a service that polls ingest the customers that the ledger does not know: waits for up to one polling
 * interval and 5 s. Without such a service, it does not wait.
 */
async function waitForPoll(options: AuditOptions, book: AuditBook, after: number): Promise<void> {
  const { flow, ledger, now, monotonicNow } = options;
  const { intervalMs } = flow.audit;
  const polledAt = (await ledger.polledAt(flow.name)) ?? Number.NEGATIVE_INFINITY;
  const isPolled = now() - polledAt <= 3 * intervalMs + POLL_MS;
  const until = monotonicNow() + (isPolled ? intervalMs + POLL_MS : 0);
  let last = after;
  while (book.hasUnknown() && monotonicNow() < until) {
    await sleep(RECHECK_MS);
    // Even what has been delivered since then counts as in flight: the target was read before.
    last = await enterLedger(options, book, last, (key) => book.enterLedger(key, 'pending'));
  }
}
