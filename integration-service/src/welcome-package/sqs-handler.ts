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

/** Gets the packages of one batch requested, by its own way. */
export interface Courier {
  /** Resolves with why the package is not requested, or nothing when it is. */
  deliver(customer: Customer): Promise<string | undefined>;
  /** Ends what is under way, within a second and a half when the time is over. */
  close(): Promise<void>;
}

/** What is left of the invocation when its time is called over: to cut off, write down and answer. */
const MARGIN_MS = 2_000;
/** For an invocation that nobody times. */
const DEFAULT_WORK_MS = 25_000;

/**
 * What a function does with a batch. A batch has its own connections, which end with it: those of a
 * function that was frozen may be dead without its knowing, and the database would keep them all the
 * while. Nothing that is known of a message or a customer outlives its batch, either.
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
        // With a ledger, its dispatcher counts: whoever waits for a retry there holds up nobody else.
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

/** One attempt for each, under the key that every repetition has, too. */
function createCourier(inventory: Target, signal: AbortSignal): Courier {
  return {
    async deliver({ id }) {
      const outcome = await inventory.send(claimOf(id), { signal, onSend: () => {} });
      return outcome.kind === 'delivered' ? undefined : `${outcome.kind}: ${outcome.reason}`;
    },
    async close() {},
  };
}

/** A delivery that no ledger knows of. */
function claimOf(customerId: string): Claim {
  return {
    ...welcomePackageFor(customerId),
    ...{ leg: WELCOME_PACKAGE, sequence: 0, attempts: 1, reads: 0, fencingToken: 0 },
    ...{ lastError: null, createdAt: 0 },
  };
}
