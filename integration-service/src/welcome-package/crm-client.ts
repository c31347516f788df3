import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import { z } from 'zod';
import {
  describeResponse,
  excerpt,
  type HttpClient,
  type HttpResponse,
  isSuccess,
} from '../http-client.ts';

/** What this service needs of a customer; a CRM may say more. */
const customerSchema = z.object({
  id: z.string().min(1),
  name: z.string().catch('unnamed'),
});

export type Customer = z.output<typeof customerSchema>;

/** One poll's result: the customers, and the positions of the records without a usable id. */
export interface CustomerList {
  customers: Customer[];
  unusable: number[];
}

export interface CrmClientOptions {
  http: HttpClient;
  url: URL;
  /** Attempts of one poll in all, the first one counted. */
  maxRetries: number;
  retryDelayMs: number;
  maxResponseBytes: number;
  log: Logger;
}

export interface CrmClient {
  /** All customers of the CRM; `undefined` when every attempt failed or the signal ended it. */
  fetchCustomers(signal: AbortSignal): Promise<CustomerList | undefined>;
}

export function createCrmClient(options: CrmClientOptions): CrmClient {
  const { http, url, maxRetries, retryDelayMs, maxResponseBytes, log } = options;

  return {
    async fetchCustomers(signal) {
      for (let attempt = 1; attempt <= maxRetries; attempt++) {
        log.info('Attempting to fetch customers from CRM...');
        try {
          const response = await http.send({
            method: 'GET',
            url,
            maxBytes: maxResponseBytes,
            signal,
          });
          const list = parseCustomers(response);
          log.info('Successfully fetched customers.');
          return list;
        } catch (error) {
          if (signal.aborted) return undefined;
          const reason = (error as Error).message;
          log.error(`Failed to fetch customers (Attempt ${attempt}/${maxRetries}): ${reason}`);
        }
        if (attempt < maxRetries) await sleep(retryDelayMs, undefined, { signal }).catch(() => {});
        if (signal.aborted) return undefined;
      }
      return undefined;
    },
  };
}

/** @throws {Error} whose message says what came instead of a list of customers */
function parseCustomers(response: HttpResponse): CustomerList {
  if (!isSuccess(response.status)) throw new Error(describeResponse(response));
  const records = parseArray(response);
  const customers: Customer[] = [];
  const unusable: number[] = [];
  records.forEach((record, position) => {
    const parsed = customerSchema.safeParse(record);
    if (parsed.success) customers.push(parsed.data);
    else unusable.push(position);
  });
  return { customers, unusable };
}

function parseArray({ body, headers }: HttpResponse): unknown[] {
  const expected = 'expected a JSON array of customers, but got';
  if (body.length === 0) throw new Error(`${expected} an empty body`);
  let value: unknown;
  try {
    // Not Buffer.toString: it would turn bad bytes into other ids without a word.
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    const flaw = error instanceof SyntaxError ? 'broken JSON' : 'invalid UTF-8';
    const type = headers['content-type'] ?? 'no content type';
    throw new Error(`${expected} ${flaw} (${type}): ${excerpt(body)}`);
  }
  if (!Array.isArray(value)) {
    const kind = value === null ? 'null' : typeof value;
    throw new Error(`${expected} ${kind === 'null' ? '' : 'a JSON '}${kind}: ${excerpt(body)}`);
  }
  return value;
}
