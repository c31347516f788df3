import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { Logger } from 'service-kit/logger';
import type { Claim } from '../delivery/delivery.ts';
import type { Target } from '../delivery/target.ts';
import { createHttpClient } from '../http/client.ts';
import type { Customer } from '../systems/crm/customer-list.ts';
import { createInventoryClient } from '../systems/inventory/client.ts';
import type { LambdaSettings } from './environment.ts';
import { PACKAGE_TYPE, WELCOME_PACKAGE, welcomePackageFor } from './item.ts';
import { workBatch } from './sqs-batch.ts';
import { createInventoryTarget } from './target.ts';

export type SqsHandler = (
  event: SQSEvent,
  context?: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<SQSBatchResponse>;

/** The work ends this long before the invocation: time to cut off calls, write down results and answer. */
const MARGIN_MS = 2_000;
/** The time for work in an invocation without a context, and so without a known end. */
const DEFAULT_WORK_MS = 25_000;

/**
 * Creates the handler of batches. Each batch opens its own connections and closes them at its end: while a
 * function is frozen, its connections may die unnoticed. Nothing that is known of a message or a customer
 * outlives its batch, either.
 */
export function createSqsHandler(settings: LambdaSettings, log: Logger): SqsHandler {
  const { DELIVERY_CONCURRENCY: concurrency, INVENTORY_API_URL: url } = settings;
  const timeoutMs = settings.REQUEST_TIMEOUT_SECONDS * 1_000;
  const maxResponseBytes = settings.MAX_RESPONSE_MEGABYTES * 1_000_000;
  return async (event, context) => {
    const workMs = context ? context.getRemainingTimeInMillis() - MARGIN_MS : DEFAULT_WORK_MS;
    const signal = workMs > 0 ? AbortSignal.timeout(workMs) : AbortSignal.abort();
    const http = createHttpClient({ connections: concurrency, timeoutMs });
    const inventory = createInventoryClient({
      ...{ http, url, packageType: PACKAGE_TYPE, maxResponseBytes, now: Date.now },
    });
    const target = createInventoryTarget({ inventory, log });
    try {
      return await workBatch(event.Records, {
        concurrency,
        deliver: (customer) => attempt(target, customer, signal),
        signal,
        log,
      });
    } finally {
      await http.close();
    }
  };
}

/**
 * Makes one attempt, with the same idempotency key as every repetition.
 *
 * @returns why the package is not requested; `undefined` when it is
 */
async function attempt(
  target: Target,
  { id }: Customer,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { outcomes } = await target.send([claimOf(id)], { signal, onSend: () => {} });
  const [outcome] = outcomes;
  if (!outcome) return 'the target said nothing';
  return outcome.kind === 'delivered' ? undefined : `${outcome.kind}: ${outcome.reason}`;
}

/** A claim on a delivery that is in no ledger. */
function claimOf(customerId: string): Claim {
  const { key, lane, payload } = welcomePackageFor(customerId);
  return {
    ...{ key, lane, payload, operation: undefined },
    ...{ flow: WELCOME_PACKAGE, sequence: 0, attempts: 1, reads: 0, fencingToken: 0 },
    ...{ lastError: null, createdAt: 0 },
  };
}
