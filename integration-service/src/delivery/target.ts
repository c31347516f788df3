import type { Claim, Evidence } from './delivery.ts';
import { isThrottling, type Outcome } from './outcome.ts';

export interface SendOptions {
  signal: AbortSignal;
  /** Called right before the first byte leaves; throws when it must not. */
  onSend: () => void;
}

/** What a leg knows of the system that it delivers to. */
export interface Target {
  /** For logs and metrics: `inventory`. */
  name: string;
  /** One attempt. Never throws. */
  send(claim: Claim, options: SendOptions): Promise<Outcome>;
  /**
   * What the target holds, as it comes over the wire; only whole when it ends without an error. Asked
   * for `only` one delivery, it may answer that alone, or anything between that and all.
   *
   * @throws {ReadError}
   */
  read(options?: ReadOptions): AsyncIterable<Evidence>;
}

export interface ReadOptions {
  only?: Claim | undefined;
  signal?: AbortSignal | undefined;
}

/** A system could not be read to the end. */
export class ReadError extends Error {
  override readonly name = 'ReadError';
  readonly code = 'READ_FAILED';
  /** The name of the system, for people. */
  readonly system: string;
  /** The status of its answer, when that was the reason. */
  readonly status: number | undefined;
  readonly isUnauthorized: boolean;
  readonly retryAfterMs: number | undefined;
  /** It wants fewer calls: nothing is to be asked of it for a while. */
  readonly isThrottled: boolean;

  constructor(
    message: string,
    options: {
      system: string;
      status?: number | undefined;
      isUnauthorized?: boolean;
      retryAfterMs?: number | undefined;
      cause?: unknown;
    },
  ) {
    super(message, options);
    this.system = options.system;
    this.status = options.status;
    this.isUnauthorized = options.isUnauthorized ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.isThrottled = isThrottling(options.status, options.retryAfterMs);
  }
}
