import type { CircuitBreaker } from './circuit-breaker.ts';
import type { Claim } from './delivery.ts';
import { ReadError, type Target } from './target.ts';

/** What a target turned out to have: evidence by key. */
export type Findings = Map<string, string>;

/**
 * Asks a target, in one read, what it has of these deliveries.
 *
 * @param mayFilter whether a single one may be asked for alone, which is cheaper: what the target
 *   does not list then rests on a filter that it may understand otherwise
 * @throws {ReadError} when the target could not be read to the end; nothing is known then
 */
export async function findAtTarget(
  target: Target,
  claims: Claim[],
  { mayFilter, signal }: { mayFilter: boolean; signal?: AbortSignal },
): Promise<Findings> {
  const wanted = new Set(claims.map(({ key }) => key));
  const only = mayFilter && claims.length === 1 ? claims[0] : undefined;
  const findings: Findings = new Map();
  for await (const { key, evidence } of target.read({ only, signal })) {
    if (wanted.has(key) && !findings.has(key)) findings.set(key, evidence);
  }
  return findings;
}

/** Runs a read of the target as a call that the breaker counts. */
export async function readThrough<Result>(
  breaker: CircuitBreaker,
  read: () => Promise<Result>,
): Promise<Result> {
  const passage = breaker.pass();
  try {
    const result = await read();
    passage.succeed();
    return result;
  } catch (error) {
    if (!(error instanceof ReadError)) passage.cancel();
    else if (error.isUnauthorized) passage.refuse(error.message);
    else passage.fail(error.message, error.retryAfterMs);
    throw error;
  }
}
