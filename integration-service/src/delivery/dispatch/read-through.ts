import { ReadError } from '../target.ts';
import { type Permit, READ } from './gate.ts';

/**
 * Runs a read of the target, and reports a failure to the gate. The caller reports a success.
 *
 * @param onThrottled called when the target asks for fewer calls, with how long the read must wait, in
 *   milliseconds
 */
export async function readThrough<Result>(
  permit: Permit,
  read: () => Promise<Result>,
  onThrottled?: (waitMs: number) => void,
): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ReadError)) permit.cancel();
    else if (error.isUnauthorized) permit.refuse(error.message);
    else if (error.isThrottled) {
      onThrottled?.(permit.throttle(READ, error.message, error.retryAfterMs).waitMs);
    } else permit.fail(error.message, error.retryAfterMs);
    throw error;
  }
}
