import type { HttpError } from 'service-kit/errors';
import type { HttpService } from 'service-kit/http-service';
import type { AuditKind, Difference, Drift } from './audit/kinds.ts';
import type { Item } from './delivery.ts';
import type { Pause } from './dispatch/pauses.ts';
import type { CycleLog } from './ingest/cycle-log.ts';
import type { EventMetrics } from './ingest/metrics.ts';
import type { IngestCounts, LedgerTransaction, Produce, RejectedRecord } from './ledger/ledger.ts';
import type { GuardedOptions } from './routes/guarded.ts';
import type { Holding, Target } from './target.ts';

/** One journey of records, from its sources to a target. */
export interface Flow {
  /** In the ledger, the routes, the metrics and the idempotency keys. Never changes. */
  name: string;
  target: Target;
  sources: readonly Source[];
  policy: Policy;
  /** The one form of a lane, for an id that a person or another system wrote in a form of its own. */
  laneOf(id: string): string;
  /**
   * Which of the deliveries of a record this is, in words for people: `update, version 3`. Default: nothing is
   * said, because a record has one.
   */
  describe?(delivery: Pick<Item, 'key'> & { operation: Item['operation'] | null }): string;
  /**
   * The delivery that something at the target stands for. A new ledger takes all that the target holds as
   * delivered, before anything is sent. Default: nothing is adopted, because the ledger's own database has
   * the truth that the flow carries.
   */
  adopt?(held: Holding): Item;
  audit: Audited;
  /** Routes of its own that no source brings. Default: it has none. */
  routes?: {
    /** Their heading in the documentation. */
    tag: { name: string; description: string };
    add(app: HttpService, parts: RouteParts): void;
  };
}

/**
 * What an audit compares the target with: delivery by delivery, and where the flow supersedes, record by record,
 * of which the latest delivery counts.
 */
export interface Audited {
  /** The kinds that are told apart, each with its meaning: `in the CRM, without a package`. */
  kinds: Partial<Record<AuditKind, string>>;
  /**
   * The name of the source whose records that cannot be used are audited, too. Default: each of its records can
   * be used.
   */
  source?: string;
  /**
   * How often the source is polled: a service may be about to ingest what the ledger does not know. Default:
   * the ledger knows at once what the source shows.
   */
  intervalMs?: number;
  /**
   * Everything that should be at the target now; read up to three times.
   *
   * @param onUnusable called with every record that cannot become an item. Default: such records are skipped
   * @throws {ReadError}
   */
  expected(onUnusable?: (record: RejectedRecord) => void): AsyncIterable<Item>;
  /**
   * What is there. Default: the target's list, which settling reads, too.
   *
   * @throws {ReadError}
   */
  held?(): AsyncIterable<Holding>;
  /**
   * In which fields the target differs. Default: that it has something is enough.
   *
   * @param expected the payload, parsed
   * @param found the content of the holding
   */
  differences?(expected: unknown, found: unknown): Difference[];
  /**
   * Writes down a later state of a record that mends the drift, and makes its item; makes none if the latest
   * delivery of the lane is not any more what the audit has seen. Default: what is missing is put back to
   * pending. Only for a flow that supersedes.
   */
  repair?(transaction: LedgerTransaction, drift: Drift): Promise<Item[]>;
}

export interface Policy {
  /** `lane`: of a lane, one delivery is under way at a time, in order. `none`: nothing waits for another. */
  order: 'lane' | 'none';
  /**
   * A new delivery replaces what its lane has not delivered. The key of a delivery is then not its lane.
   */
  supersedes: boolean;
  /**
   * No two sources or processes ever ingest the same key: inserts are not locked on PostgreSQL. What makes
   * keys from a record, in `Change`, locks the record's row.
   */
  hasOwnKeys: boolean;
  /** The ledger stores what people call a record, until the record is gone. Otherwise, only the log has it. */
  keepsLabels: boolean;
  /** Deliveries are sent when `size` of them wait or one has waited for `waitMs`, up to `atMost` at once. */
  batch: { size: number; waitMs: number; atMost: number };
  /**
   * Batches under way at the same time in each process. One that is committed with something else is under way
   * until then: with 1, each batch finds what became of the one before.
   */
  concurrency: number;
  /** Attempts of one delivery before it is dead. */
  maxAttempts: number;
  /** The longest wait between two attempts, in milliseconds. Default: five minutes. */
  longestBackoffMs?: number | undefined;
}

/** A batch of one delivery, sent at once. */
export const ONE_BY_ONE: Policy['batch'] = { size: 1, waitMs: 0, atMost: 1 };

export type Source = PolledSource | PushedSource;

/** A source that is read from time to time, by one replica. */
export interface PolledSource {
  kind: 'polled';
  /** Names the position in the ledger. Never changes. */
  name: string;
  /** The system that is read, as people call it: `CRM`. */
  system: string;
  /** What people call its records: `customer`. */
  noun: string;
  /** The pause of the system: it is not polled before the pause ends. */
  pause: Pause;
  intervalMs: number;
  /** What the log calls a reading. Default: `Polling cycle`. */
  cycle?: string;
  /**
   * It reads the target of its flow: it is also read as soon as the target works again, and while the target
   * fails, the service is ready. Default: no.
   */
  readsTarget?: boolean;
  /** How often the whole list is read, even if polls can read only what is new. */
  sweepIntervalMs: number;
  /**
   * @param from where to read on, as an earlier reading said; `undefined`: the whole list
   * @param log for lines about this reading: those of an idle cycle are not shown each time
   */
  read(from: unknown, signal: AbortSignal, log: CycleLog['log']): Promise<Reading>;
}

export type Reading =
  | {
      kind: 'items';
      /** Read several times: no generator. */
      items: Iterable<Item>;
      /** Where the next reading can begin; if `undefined`, it must be of the whole list. */
      position: unknown;
      /** The list was read from its beginning, to its end or to `position`. */
      isWhole: boolean;
      /** Records that cannot become items: the first thousand, and how many there were. */
      invalid: readonly RejectedRecord[];
      invalidCount: number;
    }
  | {
      /** Items that are made in the transactions that take them in, of what the flow knows by then. */
      kind: 'records';
      /** Each makes the items of a few records, in their order. */
      chunks: Iterable<Produce>;
      /** Whether the list has a record that can be used. */
      isAnyUsable: boolean;
      position: unknown;
      isWhole: boolean;
      invalid: readonly RejectedRecord[];
      invalidCount: number;
    }
  | { kind: 'unchanged' }
  | {
      /** Both sides were compared, and what differs is dealt with. */
      kind: 'compared';
      /** Where the next reading can begin, or `undefined`. */
      position: unknown;
      /** How many records differed. */
      differences: number;
    }
  | {
      kind: 'failed';
      reason: string;
      isUnauthorized: boolean;
      /** The system asks for fewer calls, for so long; its pause begins. Default: it does not, or has begun. */
      throttled?: { retryAfterMs: number | undefined } | undefined;
    };

/** A source that comes by itself: a webhook, a queue, an API of our own. */
export interface PushedSource {
  kind: 'pushed';
  /** In metrics: `webhook`, `rabbitmq`. */
  name: string;
  /** What people call its records: `customer`. */
  noun: string;
  /**
   * Begins to take records; each is acknowledged when `sink` has resolved.
   *
   * @param metrics counts what does not come to `sink`
   * @param change for an API of ours: a customer and its delivery are changed together
   */
  open(sink: Sink, metrics: EventMetrics, change: Change): OpenSource;
}

/** What routes of a flow need of the service. */
export interface RouteParts {
  /** For routes that only our own people may call. */
  guarded: GuardedOptions;
  /** Until when the target is not called, Unix time in milliseconds; `undefined` when it may be. */
  blockedUntil(): number | undefined;
}

export interface OpenSource {
  /** Adds the routes by which records come. Default: there are none. */
  addRoutes?(app: HttpService, parts: RouteParts): void;
  /** The heading of these routes in the documentation. */
  tag?: { name: string; description: string };
  /** Why nothing comes; `undefined` when something can. */
  problem(): string | undefined;
  /** Takes nothing more. When this resolves, all that was taken is committed or has failed. */
  close(): Promise<void>;
}

/**
 * Takes items, which are durable when it resolves.
 *
 * @throws {LedgerError} when they cannot be committed
 */
export type Sink = (items: readonly Item[]) => Promise<IngestCounts>;

/** What a change returns, and what it delivers. */
export interface Made<Result> {
  result: Result;
  items: readonly Item[];
}

/** An error says why a change is refused: then it has written nothing. */
export type Outcome<Result> = Made<Result> | HttpError;

/** Makes changes of one kind, in a transaction. Returns the outcome of each, in their order. */
export type Make<Input, Result> = (
  transaction: LedgerTransaction,
  inputs: readonly Input[],
) => Promise<Outcome<Result>[]>;

/**
 * Makes a change and takes in what it delivers, in one transaction. Others may be committed with it. Resolves
 * with its result once that is durable.
 *
 * @throws {HttpError} when it is refused; {LedgerError}, or what `make` throws; nothing is written then
 */
export type Change = <Input, Result>(make: Make<Input, Result>, input: Input) => Promise<Result>;
