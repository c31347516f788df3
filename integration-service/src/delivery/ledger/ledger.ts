import type { Kysely } from 'kysely';
import type { Claim, Event, Item, Status, Transition } from '../delivery.ts';
import type { LedgerError } from './ledger-error.ts';
import type { DeliveryRow, HistoryEvent, LedgerTransaction } from './tables.ts';

/** Where the ledger is: a SQLite file (or `:memory:`), or a PostgreSQL database. */
export type LedgerLocation = { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string };

/**
 * What must become true in the same transaction as something else, or not at all. Throws to refuse both. Here and
 * in {@link Produce}, no method of the ledger may be called but those that take the transaction.
 */
export type Together = (transaction: LedgerTransaction) => Promise<void>;

/**
 * Makes the items inside the transaction that writes them down. Whatever must be true together with them is
 * written there: the position of a poll, the customer that an API call has changed. If it throws, nothing is
 * written.
 */
export type Produce = (transaction: LedgerTransaction) => Promise<Iterable<Item>>;

/** What the ledger must know of a flow to ingest its items. */
export interface IngestRules {
  name: string;
  /** A new item replaces what its lane has not delivered yet. */
  supersedes: boolean;
  /** No other source or process can ingest the same keys. */
  hasOwnKeys: boolean;
  keepsLabels: boolean;
}

export interface IngestOptions {
  /** Unix time in milliseconds. */
  now: number;
  /** Keeps back what is new, but for what ends a lane. Default: no. */
  isHeld?: boolean;
}

/** What became of the items; each is counted in one of the four: seen = new + known + held + superseded. */
export type IngestCounts = Record<(typeof INGEST_RESULTS)[number], number>;
export const INGEST_RESULTS = ['new', 'known', 'held', 'superseded'] as const;

export interface Ingested extends IngestCounts {
  /** The items that were new and are to be sent. */
  items: Item[];
}

/** Which deliveries a worker claims. */
export interface ClaimOptions {
  limit: number;
  /** Unix time in milliseconds. */
  now: number;
  /** `lane`: of a lane, one at a time and in order. `none`: nothing waits for another. */
  order: 'lane' | 'none';
  /** Claims nothing unless so many are due, or one has been for so long. Default: claims what is due. */
  batch?: { size: number; waitMs: number } | undefined;
}

/** Times of a correction, in Unix milliseconds. */
export interface CorrectionOptions {
  /** When the look at the target began. Default: what was delivered since is not told apart. */
  deliveredBefore?: number;
  now: number;
}

/** The result of a claim: what becomes of the delivery, and how its attempt ended, if there was one. */
export interface CommitEntry {
  claim: Claim;
  transition: Transition;
  outcome?: string | undefined;
}

/** What a commit could not write as it was asked to. */
export interface Committed {
  /** Claims that this worker no longer holds: nothing of them is written. */
  lost: Claim[];
  /** Claims whose delivery has a successor, and is superseded instead of pending, dead or held. */
  superseded: Claim[];
}

/** A source of a flow. */
export interface SourceId {
  flow: string;
  source: string;
}

/** How far a source has been read. */
export interface Progress {
  /** Where the next read continues, in the source's own format; `undefined`: at the beginning. */
  position: unknown;
  /** When the source was last read from its beginning, Unix time in milliseconds. */
  sweptAt: number | undefined;
}

/** How far a source has now been read. */
export interface NewProgress {
  position: unknown;
  /** The source was read from its beginning. */
  isWhole: boolean;
}

/** Whether this process may poll now, or another one has the poll lease. */
export type PollLease =
  | ({ kind: 'mine'; endsAt: number } & Progress)
  | { kind: 'taken'; waitMs: number; polledAt: number | null };

export interface LeaseRequest {
  /** Unix time in milliseconds, as are the other times. */
  now: number;
  forMs: number;
  /** A lease that ends later than this was written under a wrong clock, and is taken. */
  maxMs: number;
  /** The end of the lease that this process still has. */
  ownEndsAt?: number | undefined;
  /** Written as the time of the last successful poll. */
  polledAt?: number | undefined;
}

/** A record of a source that can never become a delivery, described without its content. */
export interface RejectedRecord {
  /** Identifies the record, wherever it is in the list: see `fingerprintOf`. */
  fingerprint: string;
  /** The position in the list, from 0; null when it is not known. */
  position: number | null;
  /** The id, or what is in its place, shortened; null when there is none. */
  id: string | null;
  reason: string;
}

/** A rejected record that is in the ledger. */
export interface KnownReject extends RejectedRecord {
  /** A person has accepted it: it is not reported any more. */
  isAccepted: boolean;
}

/** When a system last asked for a pause, and until when: Unix time in milliseconds. */
export interface StoredPause {
  pausedAt: number;
  pausedUntil: number;
}

/** How far a delivery has come. While none of it changes, nothing has been sent. */
export type DeliveryStatus = Pick<
  DeliveryRow,
  'sequence' | 'key' | 'lane' | 'status' | 'fencing_token'
>;

/** Which deliveries; a field that is missing does not filter. */
export interface DeliveryFilter {
  flow?: string | undefined;
  lane?: string | undefined;
  keys?: string[] | undefined;
  /** A part of `last_error`; upper and lower case are the same. */
  reason?: string | undefined;
  /** Ingested then or later, Unix time in milliseconds. */
  from?: number | undefined;
  /** Ingested before that, Unix time in milliseconds. */
  to?: number | undefined;
}

/** The same filter for one or several statuses. */
export interface ListFilter extends DeliveryFilter {
  status?: Status | Status[] | undefined;
}

/** Which page of a list. */
export interface ListPage {
  /** In the order in which they were ingested: `asc` (default), or the newest first. */
  order?: 'asc' | 'desc' | undefined;
  /** The sequence number of the last delivery of the previous page. Default: the first page. */
  after?: number | undefined;
}

/**
 * Everything that must survive a crash. SQLite and PostgreSQL implement it alike. Every method throws a
 * `LedgerError` when the ledger cannot be read or written; no transaction is half written then. Every time
 * is Unix time in milliseconds.
 */
export interface Ledger {
  /** No other service worked on this ledger when it was opened. Always false for PostgreSQL. */
  readonly isAlone: boolean;
  /** One transaction at a time, and all others wait for it. */
  readonly hasOneWriter: boolean;
  /** What is wrong with the ledger, according to its latest use; `undefined` when nothing is. */
  problem(): LedgerError | undefined;
  close(): Promise<void>;
  /** Reads a flow's own tables, and others. On SQLite, other processes may write meanwhile. */
  read<Value>(run: (db: Kysely<unknown>) => Promise<Value>): Promise<Value>;
  /** Runs statements on a flow's own tables, in a transaction. */
  within<Value>(run: (transaction: LedgerTransaction) => Promise<Value>): Promise<Value>;

  // ------------------------------------------------------------------------------------ ingest

  /**
   * Writes items down, all in one transaction, with whatever else `produce` writes. A key that the flow has
   * had is known, and changes nothing. In the same transaction, older deliveries of a lane are superseded
   * where the flow supersedes, and those of an ended lane in every flow.
   */
  ingest(flow: IngestRules, produce: Produce, options: IngestOptions): Promise<Ingested>;
  /** Those of these keys that the flow has not had. */
  findNew(flow: string, keys: readonly string[]): Promise<string[]>;
  /** Writes down what the target holds already as delivered, in chunks, whether it was ingested or not. */
  adopt(flow: string, held: readonly (Item & { targetId: string })[], now: number): Promise<void>;
  /** Whether the target of a flow has been asked what it holds. */
  isAdopted(flow: string): Promise<boolean>;
  /** Marks a flow as adopted: everything that its target held is in the ledger. */
  setAdopted(flow: string, now: number): Promise<void>;

  // ------------------------------------------------------------------------------------ sources

  /**
   * Takes the lease to poll a source, for `forMs`: of several replicas, one polls. If another process has
   * it, tells for how long, and when a poll last succeeded.
   */
  takePollLease(of: SourceId, request: LeaseRequest): Promise<PollLease>;
  /** Moves the end of this process's poll lease; `polledAt` is the time of the last successful poll. */
  endPollLease(of: SourceId, endsAt: number, polledAt?: number): Promise<void>;
  /** How far a source has been read, according to the ledger. */
  readProgress(of: SourceId): Promise<Progress>;
  /** Writes how far a source has been read, inside the transaction that ingests what was read. */
  writeProgress(
    transaction: LedgerTransaction,
    of: SourceId,
    progress: NewProgress,
    now: number,
  ): Promise<void>;
  /** Makes the next poll read the source from its beginning, because its position has failed. */
  forgetPosition(of: SourceId): Promise<void>;
  /** When a poll of a flow's sources last succeeded; `null` before the first. */
  polledAt(flow: string): Promise<number | null>;
  /** Stores records that cannot be used; returns those that were not known. */
  reject(of: SourceId, records: Iterable<RejectedRecord>, now: number): Promise<RejectedRecord[]>;
  /** Up to `limit` rejected records of a source after a fingerprint, in order of fingerprint. */
  rejectedRecords(of: SourceId, limit: number, after?: string): Promise<KnownReject[]>;
  /** How many rejected records of a source are not accepted. */
  countUnaccepted(of: SourceId): Promise<number>;
  /** Accepts rejected records, each with a fingerprint of its own, and stores those that were not known. */
  acceptRejected(of: SourceId, records: Iterable<RejectedRecord>, now: number): Promise<void>;
  /** The latest pause of a system, even if it is over. */
  readPause(system: string): Promise<StoredPause | undefined>;
  /** Writes a pause, unless the ledger has one that ends later and was not written in the future. */
  savePause(system: string, pause: StoredPause): Promise<void>;

  // ------------------------------------------------------------------------------------ dispatch

  /**
   * Takes over deliveries whose lease is over, or, when no other service works on this ledger, all that a
   * worker left behind; returns the keys of those that were being sent. Cuts waits short that a wrong clock
   * made too long.
   */
  recover(flow: string, now: number, options?: { isAlone?: boolean }): Promise<string[]>;
  /**
   * Shortens waits that were written in the future, under a clock that was wrong or has gone back since: each
   * counts from now on, for its intended length. Looks at all deliveries that wait.
   */
  recount(flow: string, now: number): Promise<void>;
  /**
   * Claims up to `limit` deliveries that are due, the longest due first. In a lane, only the first delivery
   * that is still to be sent can be claimed, and only when no other is under way. The attempt is counted
   * here, so that a delivery which kills the process each time is not tried for ever.
   */
  claim(flow: string, options: ClaimOptions): Promise<Claim[]>;
  /** Claims up to `limit` unknown deliveries that are due to be settled. They stay unknown. */
  claimUnknown(flow: string, options: { limit: number; now: number }): Promise<Claim[]>;
  /** Renews the leases of claims; returns the claims that this worker no longer holds. */
  renew(claims: readonly Claim[], now: number): Promise<Claim[]>;
  /**
   * Writes the results of claims, all in one transaction, with whatever `together` writes.
   *
   * @throws what `together` throws, or an error when a claim of what is written together was lost; nothing
   *   is written then
   */
  commit(entries: readonly CommitEntry[], now: number, together?: Together): Promise<Committed>;
  /**
   * Finds out, in one cheap query, whether nothing is to be recovered, claimed or settled, as most of the
   * time. `dueAt` is when the first delivery that waits is due; `undefined` when none waits.
   */
  peek(flow: string, now: number): Promise<{ isIdle: boolean; dueAt: number | undefined }>;
  /** When the next delivery that waits is due, after `now`; `undefined` when none waits. */
  nextDueAt(flow: string, now: number): Promise<number | undefined>;

  // ------------------------------------------------------------------------------------ read

  /** Up to `limit` deliveries of a page. */
  list(filter: ListFilter, limit: number, page?: ListPage): Promise<DeliveryRow[]>;
  /** How many deliveries match, counted up to `limit`. */
  count(filter: ListFilter, limit: number): Promise<number>;
  /** The attempts in the history of each delivery, by sequence number; no entry if there are none. */
  countAttempts(sequences: readonly number[]): Promise<Map<number, number>>;
  /** One delivery with everything that happened to it; `undefined` when there is none. */
  get(
    flow: string,
    key: string,
  ): Promise<{ delivery: DeliveryRow; history: HistoryEvent[] } | undefined>;
  /** The status of up to `limit` deliveries of a flow after a sequence number, in their order. */
  statuses(flow: string, limit: number, after: number): Promise<DeliveryStatus[]>;
  /** Those of these lanes whose records are gone. */
  endedLanes(lanes: readonly string[]): Promise<string[]>;
  /** How many deliveries a flow has of each status. */
  countByStatus(flow: string): Promise<Record<Status, number>>;
  /** When the oldest delivery was ingested that is still to be delivered. */
  oldestUndelivered(flow: string): Promise<number | undefined>;
  /** The counts of the last audit of a flow, by kind. */
  lastAudit(flow: string): Promise<Record<string, number> | undefined>;

  // ------------------------------------------------------------------------------------ correct

  /**
   * Makes dead letters pending, with no attempt used up; returns the sequence numbers of those that were
   * dead.
   */
  replay(sequences: readonly number[], now: number): Promise<number[]>;
  /** Makes dead letters delivered that the target has, by its ids; returns their sequence numbers. */
  markFound(targetIds: ReadonlyMap<number, string>, now: number): Promise<number[]>;
  /**
   * Releases held deliveries; returns how many. A delivery that has been attempted is looked up at the target
   * once more: the target's list may have been cut off then, and be complete now.
   */
  release(filter: DeliveryFilter, now: number): Promise<number>;
  /**
   * Makes delivered deliveries pending, because the target has lost them; returns how many. Leaves alone what
   * was delivered after the look at the target, what is not the latest of its lane, and what has ended.
   *
   * @param reasons for the history of each delivery, by key
   */
  sendAgain(
    flow: string,
    reasons: ReadonlyMap<string, string>,
    options: CorrectionOptions,
  ): Promise<number>;
  /** Makes delivered deliveries dead, because the target has something later; otherwise the same. */
  giveUp(
    flow: string,
    reasons: ReadonlyMap<string, string>,
    options: CorrectionOptions,
  ): Promise<number>;
  /** Stores what an audit found, for the metrics of the running service. */
  saveAudit(flow: string, counts: Record<string, number>, now: number): Promise<void>;
}

/** One line of the history of a delivery. */
export interface EventOfDelivery extends Event {
  /** The delivery's sequence number. */
  delivery: number;
  nextAttemptAt?: number | null;
}

export type { LedgerTransaction };
