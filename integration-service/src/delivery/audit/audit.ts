import { setTimeout as sleep } from 'node:timers/promises';
import { CHUNK } from '../chunks.ts';
import type { Clocks } from '../clocks.ts';
import type { Item } from '../delivery.ts';
import type { Flow } from '../flow.ts';
import type { IngestRules, Ledger, RejectedRecord } from '../ledger/ledger.ts';
import { type Holding, ReadError } from '../target.ts';
import { type AuditBook, type AuditEntry, createAuditBook } from './audit-book.ts';
import { shortfallOf, statusesOf } from './compare.ts';
import { AUDIT_KINDS, type AuditKind, DRIFT } from './kinds.ts';

export interface AuditReport {
  /** How many records or deliveries there are of each kind that the flow tells apart. */
  counts: Partial<Record<AuditKind, number>>;
  hasDrift: boolean;
  /** How many became pending. */
  repaired: number;
  /** How many were not: the target's list may be cut off, or, where lanes are compared, they have changed. */
  unrepaired: number;
  /** How the target's list falls short of what was delivered, as a text that follows the target's name. */
  shortfall: string | undefined;
  /** How many keys the ledger knows, if the source shows none of them: the source was probably reset. */
  lostBySource: number | undefined;
  /** The entries of one kind, in order. */
  entriesOf(kind: AuditKind): IteratorObject<AuditEntry>;
  /** Releases the temporary file of the report. */
  close(): void;
}

export interface AuditOptions extends Clocks {
  flow: Pick<Flow, 'name' | 'target' | 'policy' | 'audit'>;
  /** Called with every record of the source that cannot become an item, each time it is read. */
  onUnusable: (record: RejectedRecord) => void;
  ledger: Ledger;
  /** Makes missing deliveries pending, or what the flow's own repair says. */
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

/** Records that are repaired in one transaction: few, so that others who write get their turn. */
const REPAIRED_TOGETHER = 100;

/**
 * Compares source, ledger and target, key by key; lane by lane where the flow supersedes. Sends nothing itself.
 * It can run beside a service because of the order in which it reads: the source first, then the ledger, then the
 * target. What may have changed meanwhile is checked again before it counts as drift. Everything streams into a
 * temporary file, so that memory does not grow with the number of customers.
 *
 * @throws {ReadError} {@link LedgerError} {@link Error} when source, ledger or target could not be read to
 *   the end; there is no report then
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { flow, onUnusable, ledger, now } = options;
  const { name, target } = flow;
  const ofLanes = flow.policy.supersedes;
  const book = createAuditBook(ofLanes, flow.audit);
  try {
    for await (const item of flow.audit.expected(onUnusable)) book.enterSource(item);
    const sequence = await enterLedger(options, 0, book.enterLedger);
    const held = heldIn(flow);
    if (!held) throw new ReadError('it has no list', { system: target.name });
    for await (const holding of held()) book.enterTarget(holding);
    if (book.hasUnknown()) await waitForPoll(options, book, sequence);
    await (ofLanes ? lookAgain(options, book) : excuse(options, book));

    const all = book.counts();
    const kinds = AUDIT_KINDS.filter((kind) => flow.audit.kinds[kind] !== undefined);
    const drift = kinds.filter((kind) => DRIFT.includes(kind));
    const countsOf = (some: AuditKind[]) =>
      Object.fromEntries(some.map((kind) => [kind, all[kind]]));
    await ledger.saveAudit(name, countsOf(drift), now());
    const { known, shown, delivered, listed } = book.totals();
    return {
      ...(options.repair ? await repair(options, book, drift) : { repaired: 0, unrepaired: 0 }),
      counts: countsOf(kinds),
      shortfall: shortfallOf(listed, delivered),
      lostBySource: !ofLanes && shown === 0 && known > 0 ? known : undefined,
      hasDrift: drift.some((kind) => all[kind] > 0),
      entriesOf: book.entriesOf,
      close: book.close,
    };
  } catch (error) {
    book.close();
    throw error;
  }
}

/** What an audit compares a flow with; `undefined` when it cannot be audited. */
export function heldIn({
  target,
  audit: { held },
}: Pick<Flow, 'target' | 'audit'>): (() => AsyncIterable<Holding>) | undefined {
  return held ?? target.list;
}

/** Reads the source once more for what it did not show, and asks whether the records of what is in doubt are gone. */
async function excuse({ flow, onUnusable, ledger }: AuditOptions, book: AuditBook): Promise<void> {
  // Only keys that are in the book: a customer that is new now was not looked up in ledger and target.
  if (book.hasOrphans()) {
    for await (const item of flow.audit.expected(onUnusable)) book.enterSourceOfKnown(item);
  }
  for (let page = book.doubtful(CHUNK, ''); page.length > 0; ) {
    const ended = new Set(await ledger.endedLanes(page.map(({ lane }) => lane)));
    for (const { id, lane } of page) if (ended.has(lane)) book.enterEnded(id);
    page = book.doubtful(CHUNK, page.at(-1)?.id ?? '');
  }
}

/**
 * Reads source and ledger once more for what is in doubt. The target was read in between: where neither has
 * changed, nothing was sent, and it is drift.
 */
async function lookAgain(options: AuditOptions, book: AuditBook): Promise<void> {
  if (!book.hasDoubt()) return;
  const { flow, onUnusable } = options;
  for await (const item of flow.audit.expected(onUnusable)) book.enterSourceAgain(item);
  await enterLedger(options, 0, book.enterLedgerAgain);
  book.endSecondLook();
}

async function repair(
  options: AuditOptions,
  book: AuditBook,
  kinds: AuditKind[],
): Promise<Pick<AuditReport, 'repaired' | 'unrepaired'>> {
  return await (options.flow.audit.repair
    ? repairRecords(options, options.flow.audit.repair, book, kinds)
    : repairMissing(options, book));
}

/** Has the flow make later states of records. */
async function repairRecords(
  { flow, ledger, now }: AuditOptions,
  repairOne: NonNullable<Flow['audit']['repair']>,
  book: AuditBook,
  kinds: AuditKind[],
): Promise<Pick<AuditReport, 'repaired' | 'unrepaired'>> {
  let [repaired, seen, after] = [0, 0, ''];
  for (;;) {
    const page = book.drift(kinds, REPAIRED_TOGETHER, after);
    after = page.at(-1)?.lane ?? after;
    seen += page.length;
    if (page.length === 0) return { repaired, unrepaired: seen - repaired };
    const counts = await ledger.ingest(
      rulesOf(flow),
      async (transaction) => {
        const items: Item[] = [];
        for (const drift of page) items.push(...(await repairOne(transaction, drift)));
        return items;
      },
      { now: now() },
    );
    repaired += counts.new;
  }
}

/** Makes those missing deliveries pending that the source still shows. */
async function repairMissing(
  { flow, ledger, trustList = false, now }: AuditOptions,
  book: AuditBook,
): Promise<Pick<AuditReport, 'repaired' | 'unrepaired'>> {
  let [repaired, unrepaired] = [0, 0];
  if (book.counts().missing === 0) return { repaired, unrepaired };
  for await (const item of flow.audit.expected()) {
    const found = book.missing(item.key);
    if (found === 'delivered' && !trustList) unrepaired += 1;
    if (found === 'delivered' && trustList) {
      const reasons = new Map([[item.key, 'an audit found that the target does not have it']]);
      repaired += await ledger.sendAgain(flow.name, reasons, { now: now() });
    }
    // `ingest` leaves alone what has been ingested, and maybe delivered, since the ledger was read.
    if (found === 'notIngested') {
      repaired += (await ledger.ingest(rulesOf(flow), async () => [item], { now: now() })).new;
    }
  }
  return { repaired, unrepaired };
}

function rulesOf({ name, policy }: AuditOptions['flow']): IngestRules {
  return { name, ...policy };
}

/** Enters what the ledger has after a sequence number; returns the last one. */
async function enterLedger(
  { flow, ledger }: AuditOptions,
  after: number,
  enter: AuditBook['enterLedger'],
): Promise<number> {
  let last = after;
  for await (const delivery of statusesOf(ledger, flow.name, after)) {
    enter(delivery);
    last = delivery.sequence;
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
  if (intervalMs === undefined) return;
  const polledAt = (await ledger.polledAt(flow.name)) ?? Number.NEGATIVE_INFINITY;
  const isPolled = now() - polledAt <= 3 * intervalMs + POLL_MS;
  const until = monotonicNow() + (isPolled ? intervalMs + POLL_MS : 0);
  let last = after;
  while (book.hasUnknown() && monotonicNow() < until) {
    await sleep(RECHECK_MS);
    // Even what has been delivered since then counts as in flight: the target was read before.
    last = await enterLedger(options, last, (delivery) =>
      book.enterLedger({ ...delivery, status: 'pending' }),
    );
  }
}
