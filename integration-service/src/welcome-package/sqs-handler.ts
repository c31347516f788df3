import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { Logger } from 'service-kit/logger';
import type { Claim } from '../delivery/delivery.ts';
import type { Target } from '../delivery/target.ts';
import { createHttpClient } from '../http/client.ts';
import type { Customer } from '../systems/crm/customer-list.ts';
import {
  createInventoryClient,
  WELCOME_PACKAGE,
  welcomePackageFor,
} from '../systems/inventory/client.ts';
import type { LambdaConfig } from './lambda-config.ts';
import { workBatch } from './sqs-batch.ts';

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
export function createSqsHandler(config: LambdaConfig, log: Logger): SqsHandler {
  const { deliveryConcurrency: concurrency, requestTimeoutMs: timeoutMs } = config;
  return async (event, context) => {
    const workMs = context ? context.getRemainingTimeInMillis() - MARGIN_MS : DEFAULT_WORK_MS;
    const time = new AbortController();
    if (workMs <= 0) time.abort();
    const timer = setTimeout(() => time.abort(), workMs);
    const http = createHttpClient({ connections: concurrency, timeoutMs });
    const inventory = createInventoryClient({
      ...config,
      ...{ http, url: config.inventoryUrl, log, now: Date.now },
    });
    try {
      return await workBatch(event.Records, {
        concurrency,
        deliver: (customer) => attempt(inventory, customer, time.signal),
        signal: time.signal,
        log,
      });
    } finally {
      clearTimeout(timer);
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
  inventory: Target,
  { id }: Customer,
  signal: AbortSignal,
): Promise<string | undefined> {
  const outcome = await inventory.send(claimOf(id), { signal, onSend: () => {} });
  return outcome.kind === 'delivered' ? undefined : `${outcome.kind}: ${outcome.reason}`;
}

/** A claim on a delivery that is in no ledger. */
function claimOf(customerId: string): Claim {
  return {
    ...welcomePackageFor(customerId),
    ...{ leg: WELCOME_PACKAGE, sequence: 0, attempts: 1, reads: 0, fencingToken: 0 },
    ...{ lastError: null, createdAt: 0 },
  };
}
