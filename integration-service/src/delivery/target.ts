import type { Claim } from './delivery.ts';
import type { Together } from './ledger/ledger.ts';
import type { Outcome } from './outcome.ts';

export interface Call {
  signal: AbortSignal;
  /** Called right before the first byte is sent; throws when nothing may be sent. */
  onSend: () => void;
}

/** What became of a batch. */
export interface Sent {
  /** One for each delivery, in their order. */
  outcomes: readonly Outcome[];
  /**
   * Committed with the outcomes, all or nothing: the new length of a file, for example. If it throws, or the
   * lease of a delivery was lost, the outcome of the whole batch is unknown.
   */
  together?: Together | undefined;
}

/** What a target says about an attempt of unknown outcome. It took no effect when there is no finding. */
export type Finding =
  | { kind: 'applied'; targetId: string }
  /** The target holds a later state. */
  | { kind: 'overtaken'; reason: string };

/** Something that a target holds, for adoption, settling and audits. */
export interface Holding {
  /**
   * The `key` of the delivery; the `lane`, where a flow keeps a record up to date: such a list is for audits
   * alone, because it does not say of each delivery whether it was applied.
   */
  identity: string;
  targetId: string;
  /** As the target shows it. */
  content: unknown;
}

/** What a flow knows about the system that it delivers to. */
export interface Target {
  /** For logs and metrics: `inventory`. Flows that call one system have one pause, by this name. */
  name: string;
  /**
   * To send again, in any order and however late, leaves the target as if it had been sent once. An unknown
   * outcome is then sent again. Otherwise it is looked up first, or held if that is not possible.
   */
  isRepeatable: boolean;
  /**
   * The wait before each look-up about an attempt of unknown outcome, counted from the one before. What the
   * last one does not find had no effect.
   */
  lookUpAfterMs: readonly number[];
  /**
   * Whether this process may send: where a target has one writer, the others only ingest. Asked before each
   * claim. Default: each process may.
   */
  mayWrite?(): Promise<boolean>;
  /** Gives up what it holds, when its flow has stopped. Default: it holds nothing. */
  close?(): Promise<void>;
  /** Why this process sends nothing although it should, for people; `undefined` when it does. */
  problem?(): string | undefined;
  /** One attempt for each delivery of the batch. Never throws. */
  send(batch: readonly Claim[], call: Call): Promise<Sent>;
  /**
   * What became of these deliveries, by key. With a `list` of deliveries, only that shows that something is
   * not there: this is then a cheaper question, whose answer may lack what the target holds.
   *
   * @throws {ReadError}
   */
  lookUp?(batch: readonly Claim[], signal: AbortSignal | undefined): Promise<Map<string, Finding>>;
  /**
   * Yields everything that the target holds, as it arrives; complete only if it ends without an error.
   *
   * @throws {ReadError}
   */
  list?(signal?: AbortSignal): AsyncIterable<Holding>;
}

/** A system could not be read to the end. */
export class ReadError extends Error {
  override readonly name = 'ReadError';
  readonly code = 'READ_FAILED';
  /** The name of the system, for people. */
  readonly system: string;
  /** The status of the system's answer, when that was the reason. */
  readonly status: number | undefined;
  readonly isUnauthorized: boolean;
  readonly retryAfterMs: number | undefined;
  /** The system asks for fewer calls: it must not be called for a while. */
  readonly isThrottled: boolean;

  constructor(
    message: string,
    options: {
      system: string;
      status?: number | undefined;
      isUnauthorized?: boolean;
      isThrottled?: boolean;
      retryAfterMs?: number | undefined;
      cause?: unknown;
    },
  ) {
    super(message, options);
    this.system = options.system;
    this.status = options.status;
    this.isUnauthorized = options.isUnauthorized ?? false;
    this.isThrottled = options.isThrottled ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}
