import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { parseEnvironment } from 'service-kit/environment';
import { lambdaEnvironment } from '../src/welcome-package/environment.ts';
import { createSqsHandler } from '../src/welcome-package/sqs-handler.ts';
import { captureLog, packageRequest, startHttpServer } from './support.ts';

interface MessageOptions {
  /** The message group of a FIFO queue. Default: a standard queue. */
  group?: string;
  type?: 'CREATE' | 'UPDATE' | 'DELETE';
  body?: string;
}

/** A message as SQS passes it to a function; by default about a new customer. */
export function message(messageId: string, customerId: string, options: MessageOptions = {}) {
  const { group, type = 'CREATE', body } = options;
  const customer = { id: customerId, name: 'Alice', email: 'alice@example.com' };
  const event = { event_id: `event-${messageId}`, event_type: type, customer };
  return {
    messageId,
    body: body ?? JSON.stringify(event),
    attributes: { ApproximateReceiveCount: '1', ...(group && { MessageGroupId: group }) },
  } as SQSRecord;
}

export const eventOf = (...records: SQSRecord[]): SQSEvent => ({ Records: records });

/** The answer of a function that reports these messages as failed. */
export const failures = (...messageIds: string[]) => ({
  batchItemFailures: messageIds.map((itemIdentifier) => ({ itemIdentifier })),
});

/**
 * An inventory without idempotency keys that accepts every request for which `answers` has no other
 * answer.
 */
export async function startInventory() {
  const calls: { customerId: string; key: unknown; body: unknown }[] = [];
  const stored: ReturnType<typeof packageRequest>[] = [];
  const answers = new Map<string, (response: ServerResponse) => unknown>();
  const store = (customerId: string) => stored.push(packageRequest(customerId));
  const url = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end(JSON.stringify(stored));
    const body = JSON.parse(String(await once(request, 'data')));
    const { customer_id: customerId } = body;
    calls.push({ customerId, key: request.headers['idempotency-key'], body });
    const answer = answers.get(customerId);
    if (answer) return answer(response);
    store(customerId);
    return response.writeHead(201).end(JSON.stringify(packageRequest(customerId)));
  });
  const asked = () => calls.map(({ customerId }) => customerId);
  const packages = () => stored.map(({ customer_id }) => customer_id).sort();
  return { url: `${url}/package-requests`, calls, asked, packages, store, answers };
}

/**
 * An inventory and a function that calls it. Each invocation gets the remaining time that the test gives
 * it.
 */
export async function setUpLambda(env: NodeJS.ProcessEnv = {}) {
  const inventory = await startInventory();
  const { log, ...logged } = captureLog();
  const config = parseEnvironment(lambdaEnvironment, { INVENTORY_API_URL: inventory.url, ...env });
  return { inventory, ...logged, handle: createSqsHandler(config, log), config, log };
}

/** The context of an invocation that ends in `ms` milliseconds. */
export const ending = (ms: number) => ({ getRemainingTimeInMillis: () => ms });
