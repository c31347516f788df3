import { STATUS_CODES } from 'node:http';
import { parseRetryAfter } from 'service-kit/retry';
import { ReadError } from '../delivery/target.ts';
import type { HttpClient, HttpStream } from './client.ts';
import { hideQuery, hideSecrets } from './hide-secrets.ts';
import { readJsonArray } from './json-array.ts';
import { type Link, parseLinks } from './link-header.ts';
import { claimsOf, type ListClaims, linesOf, staleBy } from './list-claims.ts';
import { isThrottling, isUnauthorized } from './outcome.ts';
import { collectBegin, describeResponse, isSuccess } from './response.ts';
import { createTrail } from './trail.ts';

/** A system that lists something. */
export interface ListSource {
  http: HttpClient;
  /** Its name, for people: `CRM`. */
  system: string;
  /** What is listed, for people: `customers`. */
  what: string;
  /** The maximum size of a page. */
  maxBytes: number;
  /** The list may come from a cache and be older than the request: what it lacks is found by a later read. */
  mayBeOlder: boolean;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** A page of a list; with most APIs, the list is one page. */
export interface Page {
  /** The server answered 304: the page is still the one of the `etag` that was sent, and has no body. */
  isUnchanged: boolean;
  /**
   * The elements as they arrive; use them only after the last one has arrived.
   * @throws {ReadError}
   */
  records: AsyncIterable<unknown>;
  /** The next page, by the `Link` header (RFC 8288). That page may be empty as yet. */
  next: URL | undefined;
  etag: string | undefined;
  claims: ListClaims;
  /** The list may have other pages: the answer has links, or headers about the length of the list. */
  isPaged: boolean;
}

export interface PageRequest {
  url: URL;
  /** The ETag of the page that the caller already has. Default: none. */
  etag?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A list with more pages is taken for an endless one. */
const MAX_PAGES = 10_000;

const ANEW = {
  // Caches on the way must ask the system itself. Not no-cache: many systems give that a wider meaning.
  'cache-control': 'max-age=0',
  // Without this, PostgREST does not say whether it has left records out.
  prefer: 'count=exact',
};

/**
 * Requests a page. Rejects an answer whose headers cannot be understood: nothing can be concluded from a page
 * that is not whole, not current, or whose next page is not clear.
 *
 * @throws {ReadError}
 */
export async function openPage(
  source: ListSource,
  { url, etag, signal }: PageRequest,
): Promise<Page> {
  const { http, system, what, maxBytes } = source;
  try {
    const headers = etag === undefined ? ANEW : { 'if-none-match': etag };
    const stream = await http.open({ method: 'GET', url, headers, maxBytes, signal });
    const isUnchanged = stream.status === 304 && etag !== undefined;
    if (!isUnchanged) await refusePart(stream, source, url);
    else if (isOther(stream.headers.etag, etag)) {
      await collectBegin(stream);
      throw new ReadError('304 Not Modified, and not of the ETag that was asked about', {
        system,
        status: 304,
      });
    }
    const isEmpty = isUnchanged || stream.status === 204;
    const told = await tellOf(stream, url).catch(async (error) => {
      await collectBegin(stream);
      throw new ReadError(hideSecrets(error.message, url), { system, status: stream.status });
    });
    if (isEmpty) await collectBegin(stream);
    const { etag: tag } = stream.headers;
    return {
      isUnchanged,
      records: isEmpty ? nothing() : reportingAs(system, readJsonArray(stream, what), url),
      etag: typeof tag === 'string' ? tag : undefined,
      ...told,
    };
  } catch (error) {
    throw toReadError(error, system, url);
  }
}

/**
 * All elements of a list, page after page, as they arrive; complete only if it ends without an error.
 *
 * @throws {ReadError}
 */
export async function* readPages(
  source: ListSource,
  request: PageRequest,
): AsyncGenerator<unknown> {
  const trail = createTrail({ system: source.system, maxPages: MAX_PAGES });
  for (let url: URL | undefined = request.url; url; ) {
    const page = await openPage(source, { url, signal: request.signal });
    let count = 0;
    for await (const record of page.records) {
      count += 1;
      yield record;
    }
    const after = trail.follow({ ...page, url, count });
    if (after.isCut) {
      throw new ReadError(`it leads on after ${MAX_PAGES} pages`, { system: source.system });
    }
    url = after.next;
  }
}

/** Whether a 304 names another ETag than the known one, by weak comparison (RFC 9110, section 8.8.3.2). */
function isOther(named: string | string[] | undefined, known: string): boolean {
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  return [named ?? []].flat().some((tag) => opaque(tag) !== opaque(known));
}

async function* nothing() {}

async function* reportingAs(system: string, records: AsyncIterable<unknown>, url: URL) {
  try {
    yield* records;
  } catch (error) {
    throw toReadError(error, system, url);
  }
}

function toReadError(error: unknown, system: string, url: URL): ReadError {
  if (error instanceof ReadError) return error;
  return new ReadError(hideSecrets((error as Error).message, url), { system, cause: error });
}

/** Throws unless it is 200 or 204 and not stale: neither a part of the list nor another one was requested. */
async function refusePart(stream: HttpStream, source: ListSource, url: URL): Promise<void> {
  const { status, headers } = stream;
  const { system, mayBeOlder } = source;
  if (!isSuccess(status)) throw await refusalOf(stream, source, url);
  const stale = staleBy(headers, { mayBeOlder });
  if ([200, 204].includes(status) && !stale) return;
  await collectBegin(stream);
  const range = headers['content-range'];
  const message = stale
    ? `it is not the current list (${stale})`
    : `${status} ${STATUS_CODES[status] ?? ''}${range ? ` (${range})` : ''}: it is not the whole list`;
  throw new ReadError(hideSecrets(message, url), { system, status });
}

async function refusalOf(stream: HttpStream, source: ListSource, url: URL): Promise<ReadError> {
  const response = await collectBegin(stream);
  const { status, headers } = response;
  const retryAfterMs = parseRetryAfter(headers['retry-after'], source.now());
  return new ReadError(hideSecrets(describeResponse(response), url), {
    system: source.system,
    status,
    isUnauthorized: isUnauthorized(status),
    isThrottled: isThrottling(status, retryAfterMs),
    retryAfterMs,
  });
}

/** What the headers of a page say about the list; rejects when they cannot be understood. */
async function tellOf({ headers }: HttpStream, url: URL) {
  const links = parseLinks(linesOf(headers.link));
  const claims = claimsOf(headers, (text) => hideSecrets(text, url));
  return {
    next: nextOf(links, url),
    claims: isLast(links, url) ? claims : { ...claims, isNotLast: true as const },
    isPaged: links.length > 0 || Object.keys(claims).length > 0,
  };
}

/**
 * The next page, at the server of the configured URL: behind a proxy, its links may name another server.
 *
 * @throws {Error} when there is a next page, but its URL is not clear
 */
function nextOf(links: Link[], url: URL): URL | undefined {
  const named = links.filter(({ relations }) => relations.includes('next'));
  const targets = named.map(({ target, anchor = '' }) => {
    const isOfThis = locate(anchor, url)?.href === locate('', url)?.href;
    return isOfThis && target !== '' ? locate(target, url) : undefined;
  });
  const [next] = targets;
  if (targets.every((each) => each !== undefined && each.href === next?.href)) return next;
  const shown = named
    .map(({ target }) => `<${hideQuery(target)}>`)
    .join(', ')
    .slice(0, 120);
  throw new Error(`it is not clear where its Link header leads on: ${shown}`);
}

/** False when the links name a last page that is neither this one nor the first one. */
function isLast(links: Link[], url: URL): boolean {
  const at = (relation: string) => {
    const link = links.find(({ relations }) => relations.includes(relation));
    return link && locate(link.target, url)?.href;
  };
  const last = at('last');
  return last === undefined || [url.href, at('first'), at('self')].includes(last);
}

function locate(target: string, url: URL): URL | undefined {
  const named = URL.parse(target, url);
  return named && /^https?:$/.test(named.protocol) ? atPathOf(named, url) : undefined;
}

/** The path and query of one URL, with the server, user name and password of another. */
export function atPathOf({ pathname, search }: URL, base: URL): URL {
  const url = new URL(base);
  [url.pathname, url.search, url.hash] = [pathname, search, ''];
  return url;
}
