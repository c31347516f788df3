import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import type { Pause } from '../../delivery/dispatch/pauses.ts';
import type { Reading } from '../../delivery/flow.ts';
import { type UnusableRecord, unusableRecord } from '../../delivery/ledger/record-identity.ts';
import { ReadError } from '../../delivery/target.ts';
import type { HttpClient } from '../../http/client.ts';
import { type ListSource, openPage, type PageRequest, readPages } from '../../http/pages.ts';
import { withoutExcerpt } from '../../http/response.ts';
import { createTrail } from '../../http/trail.ts';
import { fingerprintOfList, restoreUrl } from '../position-url.ts';
import {
  type Customer,
  type CustomerList,
  createCustomerList,
  parseRecord,
} from './customer-list.ts';
import { type PageRead, type Position, positionAfter, positionSchema } from './position.ts';

/**
 * A poll ends after this many pages, and the next poll continues there: a list that grows as fast as it is
 * read always has one more page.
 */
const MAX_PAGES_PER_POLL = 1_000;

/** A poll waits for the end of a pause up to this long, and then continues where it was. */
const MAX_PAUSE_IN_POLL_MS = 60_000;

/** What a poll brought. */
export interface Poll {
  kind: 'customers';
  customers: CustomerList;
  /** Where the next poll can begin; if `undefined`, it must read the whole list. */
  position: Position | undefined;
  /** The list was read from its beginning, to its end or to `position`. */
  isWhole: boolean;
}

export interface CrmClientOptions {
  http: HttpClient;
  url: URL;
  /** Attempts to read a page, the first one counted. */
  maxRetries: number;
  retryDelayMs: number;
  maxResponseBytes: number;
  /** The pause of the CRM. A poll starts it when the CRM asks for it, and waits out a short one. */
  pause: Pause;
  log: Pick<Logger, 'debug' | 'info' | 'error'>;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** Why a poll brought nothing. If the CRM refused our credentials, it is not retried. */
type Nothing = Exclude<Reading, { kind: 'items' }>;
type Unchanged = Extract<Nothing, { kind: 'unchanged' }>;

export interface CrmClient {
  /**
   * The customers from a position on, or all; `unchanged` when there is nothing new. After a failure at a
   * position, the next attempt reads the list from its beginning.
   *
   * @param from a position that an earlier poll gave; anything else stands for the beginning
   */
  poll(from: unknown, signal: AbortSignal): Promise<Poll | Nothing>;
  /**
   * The customers as they arrive, in one attempt; they are complete only if it ends without an error.
   *
   * @param onUnusable called with every record that is not a customer. Default: such records are skipped
   * @throws {ReadError}
   */
  readCustomers(onUnusable?: (record: UnusableRecord) => void): AsyncIterable<Customer>;
}

/** Reads all pages of the CRM's list, or only those from the last position on, if the CRM supports that. */
export function createCrmClient(options: CrmClientOptions): CrmClient {
  const { http, url: listUrl, maxRetries, retryDelayMs, maxResponseBytes, log } = options;
  const { pause, now } = options;
  const list = fingerprintOfList(listUrl);
  const source: ListSource = {
    ...{ http, system: 'CRM', what: 'customers', maxBytes: maxResponseBytes, now },
    mayBeOlder: true,
  };

  /** Reads the whole list, or from a position on. An unchanged page there says nothing about later pages. */
  async function readList(
    from: Position | undefined,
    signal: AbortSignal,
    attempt: number,
  ): Promise<Poll | Unchanged> {
    const start = from ? restoreUrl(from.url, listUrl) : listUrl;
    const behind = from?.next === undefined ? undefined : restoreUrl(from.next, listUrl);
    const isWhole = start.href === listUrl.href && !behind;
    const customers = createCustomerList();
    const isSaved = from !== undefined;
    const request = { url: start, etag: from?.etag, signal };
    let page = await readPage(customers, request, { attempt, isFirst: true, isSaved });
    const follow = createTrail({
      ...{ maxPages: MAX_PAGES_PER_POLL, isWhole, mayShrink: true },
      // After the last page that had records, an empty page is the end.
      ...(behind && { maxEmptyPages: page.isUnchanged || page.count > 0 ? 0 : 1 }),
    });
    let lastFull: PageRead | undefined;
    if (from && page.isUnchanged) {
      const next = page.next ?? behind;
      const leadsOn = next !== undefined && next.href !== start.href;
      if (!behind && (leadsOn || (isWhole && page.isPaged))) throw new StartOverError();
      if (!leadsOn) return { kind: 'unchanged' };
      lastFull = { ...page, next, etag: from.etag, first: from.first };
      page = await readPage(customers, { url: next, signal }, { isSaved });
    } else if (from && !isWhole && hasMoved(from, page, listUrl)) {
      throw new StartOverError();
    }
    for (let count = 0; ; ) {
      count += page.count;
      if (page.count > 0 || !lastFull) lastFull = page;
      const { next, tail, hasMoved, flaw } = follow(page);
      // The list may be complete when it is read again from its beginning.
      if (flaw) throw new StartOverError(new ReadError(flaw, { system: source.system }));
      if (!next) {
        // This poll may have missed customers: without a position, the next one reads the whole list.
        const position = hasMoved ? undefined : positionAfter(listUrl, { page, tail, lastFull });
        const isSame = JSON.stringify(position) === JSON.stringify(from);
        return isSame && from && count === 0
          ? { kind: 'unchanged' }
          : { kind: 'customers', customers, isWhole, position };
      }
      page = await readPage(
        customers,
        { url: next, signal },
        { isSaved: next.href === behind?.href },
      );
    }
  }

  /**
   * Reads a page in up to `maxRetries` attempts, and throws the error of the last one. At a saved position,
   * an error other than 429 ends the attempts.
   */
  async function readPage(
    customers: CustomerList,
    request: PageRequest,
    options: { isSaved: boolean; isFirst?: boolean; attempt?: number },
  ): Promise<PageRead> {
    const { isSaved, isFirst = false, attempt: firstAttempt = 1 } = options;
    for (let attempt = firstAttempt; ; attempt++) {
      log[isFirst ? 'info' : 'debug']('Attempting to fetch customers from CRM...');
      try {
        const page = await openPage(source, request);
        pause.succeed();
        const added = await customers.addPage(page.records);
        if (customers.byteLength > maxResponseBytes) {
          const message = `its pages together are larger than ${maxResponseBytes / 1_000_000} MB`;
          throw new ReadError(message, { system: source.system });
        }
        return { ...page, ...added, url: request.url };
      } catch (error) {
        if (request.signal?.aborted || !(error instanceof ReadError)) throw error;
        if (isSaved && error.status !== TOO_MANY) {
          const isGone = request.url.href !== listUrl.href && GONE.includes(error.status ?? 0);
          throw new StartOverError(isGone ? undefined : error);
        }
        await waitAfter(error, { attempt, isLast: error.isUnauthorized, signal: request.signal });
      }
    }
  }

  /** Waits before the next attempt; throws the error of the last one if there is no next. */
  async function waitAfter(
    error: ReadError,
    options: { attempt: number; isLast?: boolean; signal: AbortSignal | undefined },
  ): Promise<void> {
    const { attempt, isLast, signal } = options;
    const hint = error.isUnauthorized ? `. ${CREDENTIALS_HINT}` : '';
    const message = `${error.message}${hint}`;
    log.error(`Failed to fetch customers (Attempt ${attempt}/${maxRetries}): ${message}`);
    if (error.isThrottled) {
      pause.begin(error.message, error.retryAfterMs);
      await pause.save();
    }
    const isTooLong = pause.waitMs() > MAX_PAUSE_IN_POLL_MS;
    if (isLast || attempt >= maxRetries || isTooLong) throw error;
    await sleep(retryDelayMs, undefined, { signal });
    while (pause.waitMs() > 0) await sleep(pause.waitMs(), undefined, { signal });
  }

  /** Reads from a position on, or, if that fails, the whole list. */
  async function read(from: Position | undefined, signal: AbortSignal) {
    for (let at = from, attempt = 1; ; at = undefined) {
      try {
        return await readList(at, signal, attempt);
      } catch (error) {
        if (signal.aborted || !(error instanceof StartOverError)) throw error;
        const { reason } = error;
        if (reason) {
          await waitAfter(reason, { attempt, signal });
          attempt += 1;
        } else {
          log.info('The CRM does not know any more where it was read to: reading all of it.');
        }
      }
    }
  }

  return {
    async poll(position, signal) {
      try {
        const from = positionSchema.safeParse(position).data;
        const poll = await read(from?.list === list ? from : undefined, signal);
        log.info('Successfully fetched customers.');
        return poll;
      } catch (error) {
        if (signal.aborted) {
          return { kind: 'failed', reason: 'it was stopped', isUnauthorized: false };
        }
        if (!(error instanceof ReadError)) throw error;
        const reason = withoutExcerpt(error.message);
        return { kind: 'failed', reason, isUnauthorized: error.isUnauthorized };
      }
    },
    async *readCustomers(onUnusable) {
      let position = 0;
      for await (const record of readPages(source, { url: listUrl })) {
        const customer = parseRecord(record);
        if (typeof customer !== 'string') yield customer;
        else onUnusable?.(unusableRecord(record, position, customer));
        position += 1;
      }
    },
  };
}

const CREDENTIALS_HINT = 'Check the user name and password in CRM_API_URL.';

/** The statuses with which a CRM answers a position that it does not know, or no longer knows. */
const GONE = [400, 404, 410, 416, 422];

/** The CRM gets too many requests: to read the whole list would make that worse. */
const TOO_MANY = 429;

/** The list must be read from its beginning. Without a reason, only the position is wrong. */
class StartOverError extends Error {
  readonly reason: ReadError | undefined;

  constructor(reason?: ReadError) {
    super(reason?.message);
    this.reason = reason;
  }
}

/** Whether a position has moved in the list: numbered pages move when a record is deleted. */
function hasMoved({ first }: Position, page: PageRead, listUrl: URL): boolean {
  if (first !== undefined) return page.first !== first;
  return page.count === 0 && ![page.next?.href, listUrl.href].includes(page.url.href);
}
