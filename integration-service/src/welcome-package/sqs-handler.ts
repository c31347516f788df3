import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { Logger } from 'service-kit/logger';
import type { Claim } from '../delivery/delivery.ts';
import type { Target } from '../delivery/target.ts';
import { createHttpClient } from '../http-client.ts';
import type { Customer } from './customer-list.ts';
import { createInventoryClient, WELCOME_PACKAGE, welcomePackageFor } from './inventory-client.ts';
import type { LambdaConfig } from './lambda-config.ts';
import { createLedgerCourier } from './ledger-courier.ts';
import { workBatch } from './sqs-batch.ts';

export type SqsHandler = (
  event: SQSEvent,
  context?: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<SQSBatchResponse>;

/** Requests the packages of one batch, with or without a ledger. */
export interface Courier {
  /** Resolves with the reason why the package is not requested, or `undefined` when it is. */
  deliver(customer: Customer): Promise<string | undefined>;
  /** Ends the deliveries under way; within a second and a half if the time is over. */
  close(): Promise<void>;
}

/** The work ends this long before the invocation: time to cut off calls, write down results and answer. */
const MARGIN_MS = 2_000;
/** The time for work in an invocation without a context, and so without a known end. */
const DEFAULT_WORK_MS = 25_000;

/**
 * Creates the handler of batches. Each batch opens its own connections and closes them at its end: while a
 * function is frozen, its connections may die unnoticed, and the database would keep them open. Nothing
 * that is known of a message or a customer outlives its batch, either.
 */
export function createSqsHandler(config: LambdaConfig, log: Logger): SqsHandler {
  const tables = { areUpToDate: false };
  return async (event, context) => {
    const workMs = context ? context.getRemainingTimeInMillis() - MARGIN_MS : DEFAULT_WORK_MS;
    const time = new AbortController();
    if (workMs <= 0) time.abort();
    const timer = setTimeout(() => time.abort(), workMs);
    const http = createHttpClient({
      connections: config.deliveryConcurrency + 1,
      timeoutMs: config.requestTimeoutMs,
    });
    const now = Date.now;
    const inventory = createInventoryClient({
      ...config,
      ...{ http, url: config.inventoryUrl, log, now },
    });
    const { ledger, deliveryConcurrency: concurrency } = config;
    const courier: Courier = ledger
      ? createLedgerCourier({
          ...config,
          ledger,
          tables,
          inventory,
          until: now() + workMs,
          log,
          now,
        })
      : createCourier(inventory, time.signal);
    try {
      return await workBatch(event.Records, {
        // With a ledger, its dispatcher limits the calls: a delivery that waits for a retry delays no other.
        concurrency: ledger ? Number.POSITIVE_INFINITY : concurrency,
        deliver: courier.deliver,
        signal: time.signal,
        log,
      });
    } finally {
      clearTimeout(timer);
      await courier.close();
      await http.close();
    }
  };
}

/** Makes one attempt per customer, with the same idempotency key as every repetition. */
function createCourier(inventory: Target, signal: AbortSignal): Courier {
  return {
    async deliver({ id }) {
      const outcome = await inventory.send(claimOf(id), { signal, onSend: () => {} });
      return outcome.kind === 'delivered' ? undefined : `${outcome.kind}: ${outcome.reason}`;
    },
    async close() {},
  };
}

/** A claim on a delivery that is in no ledger. */
function claimOf(customerId: string): Claim {
  return {
    ...welcomePackageFor(customerId),
    ...{ leg: WELCOME_PACKAGE, sequence: 0, attempts: 1, reads: 0, fencingToken: 0 },
    ...{ lastError: null, createdAt: 0 },
  };
}
