import { parseForeignJson } from 'service-kit/foreign-json';
import { parseRetryAfter } from 'service-kit/retry';
import type { CallError, HttpResponse } from '../http-client.ts';
import { describeResponse } from '../http-response.ts';

/**
 * What one call to a target came to:
 * - `delivered`: the target has said that it has it, and under which id
 * - `transient`: certainly without effect; to be tried again
 * - `throttled`: the target wants fewer calls of all kinds; it did nothing, and is left alone for a while
 * - `unknown`: it may have taken effect; the target is asked before it is tried again
 * - `permanent`: refused; trying again cannot help
 * - `unauthorized`: we were refused, not the delivery; nothing can go out until that is mended
 * - `withdrawn`: not sent, for a reason of our own; as if it had not been tried
 */
export type Outcome =
  | { kind: 'delivered'; evidence: string; statusCode: number }
  | {
      kind: 'transient';
      reason: string;
      statusCode?: number;
      retryAfterMs?: number | undefined;
      /** False when no connection came about. */
      isSent: boolean;
    }
  | { kind: 'throttled'; reason: string; statusCode: number; retryAfterMs?: number | undefined }
  | {
      kind: 'unknown';
      reason: string;
      statusCode?: number;
      retryAfterMs?: number | undefined;
      /** The target refuses it as there already. Without a trace of it there, it is dead. */
      saysItExists?: true;
    }
  | { kind: 'permanent'; reason: string; statusCode: number }
  | { kind: 'unauthorized'; reason: string; statusCode: number }
  | { kind: 'withdrawn'; reason: string };

/** Every kind of outcome. */
export const OUTCOMES = [
  'delivered',
  'transient',
  'throttled',
  'unknown',
  'permanent',
  'unauthorized',
  'withdrawn',
] as const satisfies Outcome['kind'][];

/** A call is withdrawn when its `onSend` throws this. */
export class WithdrawnError extends Error {
  override readonly name = 'WithdrawnError';
  readonly code = 'WITHDRAWN';
}

/**
 * Whether an answer says that the system as a whole wants fewer calls: Too Many Requests, or Service
 * Unavailable with a time to come again. Without that, a 503 may be about this one call.
 */
export function isThrottling(status: number | undefined, retryAfterMs: number | undefined) {
  return status === 429 || (status === 503 && retryAfterMs !== undefined);
}

/** Unauthorized, Forbidden, Proxy Authentication Required: whatever we send. */
const REFUSED_US = [401, 403, 407];

/** Whether a status refuses us, and not what we ask for. */
export function isUnauthorized(status: number): boolean {
  return REFUSED_US.includes(status);
}

/** Request Timeout, Too Early, Service Unavailable: by definition not processed. */
const WITHOUT_EFFECT = [408, 425, 503];

/** What an API says of a request whose twin, with the same idempotency key, it still works on. */
const IN_FLIGHT =
  /in[ _-]?(flight|progress)|key[ _-]in[ _-]use|outstanding|(being|still) process|concurrent/i;

/**
 * What APIs say of a record that is there already: frameworks (Django REST, Rails, Laravel), services
 * (GitHub and Stripe `already_exists`, gRPC `ALREADY_EXISTS`, Salesforce `DUPLICATE_VALUE`), and
 * databases whose errors are passed on (PostgreSQL and PostgREST 23505, MySQL, MongoDB E11000,
 * Prisma P2002). One that means something else costs one read.
 */
const EXISTS =
  /already|duplicate|unique|conflict|\bexists?\b(?<!(not|n't) exist)|\b(23505|E11000|P2002)\b/i;

/**
 * Decides what an answer means.
 *
 * @param findEvidence the target's id of what was created, if the body is what it answers then
 * @param now Unix time in milliseconds
 */
export function outcomeOfResponse(
  response: HttpResponse,
  findEvidence: (body: unknown) => string | undefined,
  now: number,
): Outcome {
  const { status: statusCode } = response;
  const isCreated = statusCode === 200 || statusCode === 201;
  const evidence = isCreated ? findEvidence(parseJson(response.body)) : undefined;
  if (evidence !== undefined) return { kind: 'delivered', evidence, statusCode };

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
    return { kind: 'transient', reason, statusCode, retryAfterMs, isSent: true };
  }
  if ([400, 409, 422].includes(statusCode) && EXISTS.test(text)) {
    return { kind: 'unknown', reason, statusCode, saysItExists: true };
  }
  if (statusCode >= 400 && statusCode < 500) return { kind: 'permanent', reason, statusCode };
  // Every other 2xx, every redirect (it may come after the effect), every other 5xx.
  return { kind: 'unknown', reason, statusCode, retryAfterMs };
}

/** Decides what it means that no whole answer came. */
export function outcomeOfFailure({ message: reason, isSent, status, cause }: CallError): Outcome {
  if (cause instanceof WithdrawnError) return { kind: 'withdrawn', reason };
  if (!isSent) return { kind: 'transient', reason, isSent };
  return { kind: 'unknown', reason, ...(status !== undefined && { statusCode: status }) };
}

function parseJson(body: Buffer): unknown {
  try {
    return parseForeignJson(body);
  } catch {
    return undefined;
  }
}
