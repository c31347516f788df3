import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import { z } from 'zod';
import { ReadError } from '../delivery/target.ts';
import {
  collectBegin,
  describeResponse,
  type HttpClient,
  type HttpStream,
  isSuccess,
} from '../http-client.ts';
import { readJsonArray } from '../json-array.ts';
import { idFlaw } from './customer-id.ts';

/** What this service needs of a customer; a CRM may say more. */
export interface Customer {
  id: string;
  name: string;
}

/** A record that is no customer, with the reason. */
export interface UnusableRecord {
  /** In the list, from 0. */
  position: number;
  reason: string;
  /** As JSON, or how that begins. */
  record: string;
}

/** One poll's result. */
export interface CustomerList {
  customers: Customer[];
  /** The first thousand of them. */
  unusable: UnusableRecord[];
  unusableCount: number;
}

/** A list of nothing else must not fill the memory. */
const MAX_UNUSABLE = 1_000;
const MAX_RECORD_CHARACTERS = 500;

const recordSchema = z.looseObject({ name: z.string().catch('unnamed') });

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
  /**
   * All customers of the CRM; `failed` when every attempt failed or the signal ended it, `refused` when
   * the CRM does not let us in, which is not attempted again.
   */
  fetchCustomers(signal: AbortSignal): Promise<CustomerList | 'failed' | 'refused'>;
  /**
   * The customers as they come, in one attempt; only all of them when it ends without an error.
   * @throws {ReadError}
   */
  readCustomers(): AsyncIterable<Customer>;
}

export function createCrmClient(options: CrmClientOptions): CrmClient {
  const { http, url, maxRetries, retryDelayMs, maxResponseBytes, log } = options;

  /** @throws {ReadError} whose message says what came instead of a list of customers */
  async function* readRecords(signal?: AbortSignal): AsyncGenerator<Customer | UnusableRecord> {
    try {
      const stream = await http.open({ method: 'GET', url, maxBytes: maxResponseBytes, signal });
      if (!isSuccess(stream.status)) throw await refusalOf(stream);
      let position = 0;
      for await (const record of readJsonArray(stream, 'customers')) {
        yield parseRecord(record, position);
        position += 1;
      }
    } catch (error) {
      if (error instanceof ReadError) throw error;
      throw new ReadError((error as Error).message, { system: 'CRM', cause: error });
    }
  }

  async function readList(signal: AbortSignal): Promise<CustomerList> {
    const list: CustomerList = { customers: [], unusable: [], unusableCount: 0 };
    for await (const record of readRecords(signal)) {
      if (!('reason' in record)) list.customers.push(record);
      else if (++list.unusableCount <= MAX_UNUSABLE) list.unusable.push(record);
    }
    return list;
  }

  return {
    async fetchCustomers(signal) {
      for (let attempt = 1; attempt <= maxRetries; attempt++) {
        log.info('Attempting to fetch customers from CRM...');
        try {
          const list = await readList(signal);
          log.info('Successfully fetched customers.');
          return list;
        } catch (error) {
          if (signal.aborted) return 'failed';
          if (!(error instanceof ReadError)) throw error;
          const { message, isUnauthorized } = error;
          log.error(`Failed to fetch customers (Attempt ${attempt}/${maxRetries}): ${message}`);
          if (isUnauthorized) return 'refused';
        }
        if (attempt < maxRetries) await sleep(retryDelayMs, undefined, { signal }).catch(() => {});
        if (signal.aborted) return 'failed';
      }
      return 'failed';
    },
    async *readCustomers() {
      for await (const record of readRecords()) if (!('reason' in record)) yield record;
    },
  };
}

async function refusalOf(stream: HttpStream): Promise<ReadError> {
  const response = await collectBegin(stream);
  return new ReadError(describeResponse(response), {
    system: 'CRM',
    isUnauthorized: [401, 403].includes(response.status),
  });
}

function parseRecord(record: unknown, position: number): Customer | UnusableRecord {
  const { data } = recordSchema.safeParse(record);
  const reason = data ? idFlaw(data.id) : 'it is no object';
  if (!data || reason !== undefined) {
    const begin = JSON.stringify(record).slice(0, MAX_RECORD_CHARACTERS);
    return { position, reason: String(reason), record: begin };
  }
  return { id: data.id as string, name: data.name };
}
