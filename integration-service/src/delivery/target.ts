import type { Claim, Evidence } from './delivery.ts';
import { isThrottling, type Outcome } from './outcome.ts';

export interface SendOptions {
  signal: AbortSignal;
  /** Called right before the first byte is sent; throws when nothing may be sent. */
  onSend: () => void;
}

/** What a leg knows about the system that it delivers to. */
export interface Target {
  /** For logs and metrics: `inventory`. */
  name: string;
  /** One attempt. Never throws. */
  send(claim: Claim, options: SendOptions): Promise<Outcome>;
  /**
   * Yields what the target holds, as it arrives. The list is complete only if it ends without an error.
   * With `only`, it may have just that delivery, everything, or anything in between.
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
