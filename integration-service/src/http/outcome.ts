import { parseForeignJson } from 'service-kit/foreign-json';
import { parseRetryAfter } from 'service-kit/retry';
import { AbortedError, type Outcome } from '../delivery/outcome.ts';
import type { CallError, HttpResponse } from './client.ts';
import { describeResponse } from './response.ts';

/**
 * Whether an answer says that the system as a whole asks for fewer calls: Too Many Requests, or Service
 * Unavailable with `Retry-After`. Without that header, a 503 may be about this one call.
 */
export function isThrottling(status: number | undefined, retryAfterMs: number | undefined) {
  return status === 429 || (status === 503 && retryAfterMs !== undefined);
}

/** Unauthorized, Forbidden, Proxy Authentication Required: they do not depend on what we send. */
const REFUSED_US = [401, 403, 407];

/** Whether a status refuses us rather than this request. */
export function isUnauthorized(status: number): boolean {
  return REFUSED_US.includes(status);
}

/** Request Timeout, Too Early, Service Unavailable: by definition not processed. */
const WITHOUT_EFFECT = [408, 425, 503];

/** What an API answers while it still processes another request with the same idempotency key. */
const IN_FLIGHT =
  /in[ _-]?(flight|progress)|key[ _-]in[ _-]use|outstanding|(being|still) process|concurrent/i;

/**
 * What APIs answer when the record already exists: frameworks (Django REST, Rails, Laravel), services
 * (GitHub and Stripe `already_exists`, gRPC `ALREADY_EXISTS`, Salesforce `DUPLICATE_VALUE`), and databases
 * whose errors are passed on (PostgreSQL and PostgREST 23505, MySQL, MongoDB E11000, Prisma P2002). A false
 * match costs one read.
 */
const EXISTS =
  /already|duplicate|unique|conflict|\bexists?\b(?<!(not|n't) exist)|\b(23505|E11000|P2002)\b/i;

/**
 * Decides what an answer means.
 *
 * @param findTargetId returns the target's id of what was created, if the body is the target's answer to
 *   that
 * @param now Unix time in milliseconds
 */
export function outcomeOfResponse(
  response: HttpResponse,
  findTargetId: (body: unknown) => string | undefined,
  now: number,
): Outcome {
  const { status: statusCode } = response;
  const isCreated = statusCode === 200 || statusCode === 201;
  const targetId = isCreated ? findTargetId(parseJson(response.body)) : undefined;
  if (targetId !== undefined) return { kind: 'delivered', targetId, statusCode };

  const reason = describeResponse(response);
  const retryAfterMs = parseRetryAfter(response.headers['retry-after'], now);
  if (isCreated) {
    return { kind: 'unknown', reason: `not the answer of the target: ${reason}`, statusCode };
  }
  if (isUnauthorized(statusCode)) {
    return { kind: 'unauthorized', reason, statusCode };
  }
  if (isThrottling(statusCode, retryAfterMs)) {
    return { kind: 'throttled', reason, statusCode, retryAfterMs };
  }
  const text = response.body.toString('utf8', 0, 2_000);
  if (WITHOUT_EFFECT.includes(statusCode) || (statusCode === 409 && IN_FLIGHT.test(text))) {
    return { kind: 'transient', reason, statusCode, retryAfterMs };
  }
  if ([400, 409, 422].includes(statusCode) && EXISTS.test(text)) {
    return { kind: 'unknown', reason, statusCode, saysItExists: true };
  }
  if (statusCode >= 400 && statusCode < 500) return { kind: 'permanent', reason, statusCode };
  // Every other 2xx, every redirect (it may come after the effect), every other 5xx.
  return { kind: 'unknown', reason, statusCode, retryAfterMs };
}

/** Decides what it means that no complete answer came. */
export function outcomeOfFailure({ message: reason, isSent, status, cause }: CallError): Outcome {
  if (cause instanceof AbortedError) return { kind: 'aborted', reason };
  if (!isSent) return { kind: 'transient', reason };
  return { kind: 'unknown', reason, ...(status !== undefined && { statusCode: status }) };
}

function parseJson(body: Buffer): unknown {
  try {
    return parseForeignJson(body);
  } catch {
    return undefined;
  }
}
