import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import { z } from 'zod';
import { ReadError } from '../delivery/target.ts';
import type { HttpClient } from '../http-client.ts';
import {
  atPathOf,
  createTrail,
  type ListSource,
  openPage,
  type Page,
  type PageRequest,
  readPages,
} from '../pages.ts';
import {
  type Customer,
  type CustomerList,
  createCustomerList,
  parseRecord,
} from './customer-list.ts';

/** Where the list of a CRM goes on: what it shows there has come since. URLs are without credentials. */
export const positionSchema = z.object({
  /** The list that it is a position in. */
  list: z.string(),
  url: z.url(),
  /** What was there last. */
  etag: z.string().optional(),
});

export type Position = z.output<typeof positionSchema>;

/**
 * A poll ends after so many pages, and the next one goes on there: of a list that grows as fast as it is
 * read, there is always one more.
 */
const MAX_PAGES_PER_POLL = 1_000;

/** What a poll brought. */
export interface Poll {
  customers: CustomerList;
  /** Where the next one can begin; without it, the whole list must be read. */
  position: Position | undefined;
  /** It was read from its beginning, to its end or to `position`. */
  isWhole: boolean;
}

export interface CrmClientOptions {
  http: HttpClient;
  url: URL;
  /** Attempts to read a page, the first one counted. */
  maxRetries: number;
  retryDelayMs: number;
  maxResponseBytes: number;
  log: Logger;
}

export interface CrmClient {
  /**
   * The customers from a position on, or all; `unchanged` when there is nothing new, `failed` when every
   * attempt failed or the signal ended it, `refused` when the CRM does not let us in, which is not
   * attempted again.
   */
  poll(
    from: Position | undefined,
    signal: AbortSignal,
  ): Promise<Poll | 'unchanged' | 'failed' | 'refused'>;
  /**
   * The customers as they come, in one attempt; only all of them when it ends without an error.
   * @throws {ReadError}
   */
  readCustomers(): AsyncIterable<Customer>;
}

/** Reads the CRM, in as many pages as it has, and from where it was read to if it leads there. */
export function createCrmClient(options: CrmClientOptions): CrmClient {
  const { http, url: listUrl, maxRetries, retryDelayMs, maxResponseBytes, log } = options;
  const source: ListSource = { http, system: 'CRM', what: 'customers', maxBytes: maxResponseBytes };
  const list = withoutCredentials(listUrl);

  async function readAll(from: Position | undefined, signal: AbortSignal) {
    const start = from ? atPathOf(new URL(from.url), listUrl) : listUrl;
    const isWhole = start.href === listUrl.href;
    const customers = createCustomerList();
    const trail = createTrail(MAX_PAGES_PER_POLL);
    let request: PageRequest = { url: start, etag: from?.etag, signal };
    for (;;) {
      const isFirst = request.url === start;
      const page = await readPage(customers, request, { isFirst, isPosition: isFirst && !isWhole });
      if (page === 'unchanged') return page;
      const { url } = request;
      const { next, tail } = trail.follow({ url, ...page });
      if (!next) return { customers, isWhole, position: positionAfter({ url, tail, ...page }) };
      request = { url: next, signal };
    }
  }

  /** Reads a page, in as many attempts as it takes; throws what the last one ended with. */
  async function readPage(
    customers: CustomerList,
    request: PageRequest,
    { isFirst, isPosition }: { isFirst: boolean; isPosition: boolean },
  ) {
    for (let attempt = 1; ; attempt++) {
      log[isFirst ? 'info' : 'debug']('Attempting to fetch customers from CRM...');
      try {
        const page = await openPage(source, request);
        if (page === 'unchanged') return page;
        return { ...page, count: await addPage(customers, page) };
      } catch (error) {
        if (request.signal?.aborted || !(error instanceof ReadError)) throw error;
        if (isPosition && GONE.includes(error.status ?? 0)) throw new PositionGoneError();
        log.error(`Failed to fetch customers (Attempt ${attempt}/${maxRetries}): ${error.message}`);
        if (error.isUnauthorized || attempt >= maxRetries) throw error;
      }
      await sleep(retryDelayMs, undefined, { signal: request.signal });
    }
  }

  async function addPage(customers: CustomerList, { records }: Page): Promise<number> {
    const count = await customers.addPage(records);
    if (customers.byteLength <= maxResponseBytes) return count;
    const message = `its pages together are larger than ${maxResponseBytes / 1_000_000} MB`;
    throw new ReadError(message, { system: source.system });
  }

  /** Where the next poll begins: where the CRM leads, or at the whole list if that has a tag. */
  function positionAfter({
    url,
    tail,
    etag,
  }: {
    url: URL;
    tail?: URL | undefined;
    etag?: string | undefined;
  }) {
    if (tail) {
      const isHere = tail.href === url.href;
      return { list, url: withoutCredentials(tail), etag: isHere ? etag : undefined };
    }
    return etag && url.href === listUrl.href ? { list, url: list, etag } : undefined;
  }

  return {
    async poll(from, signal) {
      try {
        const poll = await readAll(from?.list === list ? from : undefined, signal).catch(
          (error: unknown) => {
            if (!(error instanceof PositionGoneError)) throw error;
            log.info('The CRM does not know any more where it was read to: reading all of it.');
            return readAll(undefined, signal);
          },
        );
        log.info('Successfully fetched customers.');
        return poll;
      } catch (error) {
        if (signal.aborted) return 'failed';
        if (!(error instanceof ReadError)) throw error;
        return error.isUnauthorized ? 'refused' : 'failed';
      }
    },
    async *readCustomers() {
      for await (const record of readPages(source, { url: listUrl })) {
        const customer = parseRecord(record);
        if (typeof customer !== 'string') yield customer;
      }
    },
  };
}

/** What a CRM answers that does not know a position, or not any more. */
const GONE = [400, 404, 410, 416, 422];

class PositionGoneError extends Error {}

function withoutCredentials(url: URL): string {
  const bare = new URL(url);
  [bare.username, bare.password] = ['', ''];
  return bare.href;
}
