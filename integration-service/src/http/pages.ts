import { STATUS_CODES } from 'node:http';
import { parseRetryAfter } from 'service-kit/retry';
import { ReadError } from '../delivery/target.ts';
import type { HttpClient, HttpStream } from './client.ts';
import { hideQuery, hideSecrets } from './hide-secrets.ts';
import { readJsonArray } from './json-array.ts';
import { type Link, parseLinks } from './link-header.ts';
import { claimsOf, type ListClaims, linesOf, staleBy } from './list-claims.ts';
import { isThrottling, isUnauthorized } from './outcome.ts';
import { collectBegin, describeResponse } from './response.ts';
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
export const MAX_PAGES = 10_000;

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
  const { http, system, what, maxBytes, mayBeOlder } = source;
  try {
    const headers = etag === undefined ? ANEW : { 'if-none-match': etag };
    const stream = await http.open({ method: 'GET', url, headers, maxBytes, signal });
    const { status } = stream;
    const isUnchanged = status === 304 && etag !== undefined;
    const isSuccess = status >= 200 && status < 300;
    if (!isUnchanged && !isSuccess) throw await refusalOf(stream, source, url);
    const told = await tellOf(stream, { url, etag, mayBeOlder }).catch(async (error) => {
      await collectBegin(stream);
      throw new ReadError(hideSecrets(error.message, url), { system, status });
    });
    const isEmpty = isUnchanged || status === 204;
    if (isEmpty) await collectBegin(stream);
    const records = isEmpty ? nothing() : reportingAs(system, readJsonArray(stream, what), url);
    return { isUnchanged, records, ...told };
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
  const { system } = source;
  const follow = createTrail();
  let url: URL | undefined = request.url;
  for (let pages = 0; url; pages++) {
    if (pages === MAX_PAGES) throw new ReadError(`it leads on after ${pages} pages`, { system });
    const page = await openPage(source, { url, signal: request.signal });
    let count = 0;
    for await (const record of page.records) {
      count += 1;
      yield record;
    }
    const after = follow({ ...page, url, count });
    if (after.flaw) throw new ReadError(after.flaw, { system, status: 200 });
    url = after.next;
  }
}

/** Whether a 304 names another ETag than the known one, by weak comparison (RFC 9110, section 8.8.3.2). */
function isOther(named: string | string[] | undefined, known = ''): boolean {
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

interface Asked extends Pick<ListSource, 'mayBeOlder'> {
  url: URL;
  etag: string | undefined;
}

/** What the head of a page says about the list; rejects when it has a flaw or cannot be understood. */
async function tellOf(stream: HttpStream, asked: Asked) {
  const { headers } = stream;
  const { url } = asked;
  const flaw = flawOf(stream, asked);
  if (flaw) throw new Error(flaw);
  const links = parseLinks(linesOf(headers.link));
  const claims = claimsOf(headers, (text) => hideSecrets(text, url));
  return {
    etag: typeof headers.etag === 'string' ? headers.etag : undefined,
    next: nextOf(links, url),
    claims: isLast(links, url) ? claims : { ...claims, isNotLast: true as const },
    isPaged: links.length > 0 || Object.keys(claims).length > 0,
  };
}

/** Why an answer is not the list that was asked for: only a part of it, an older one, or of another ETag. */
function flawOf({ status, headers }: HttpStream, { etag, mayBeOlder }: Asked): string | undefined {
  if (status === 304) {
    const isKnown = !isOther(headers.etag, etag);
    return isKnown ? undefined : '304 Not Modified, and not of the ETag that was asked about';
  }
  const stale = staleBy(headers, { mayBeOlder });
  if (stale) return `it is not the current list (${stale})`;
  if ([200, 204].includes(status)) return undefined;
  const range = headers['content-range'] ? ` (${headers['content-range']})` : '';
  return `${status} ${STATUS_CODES[status] ?? ''}${range}: it is not the whole list`;
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
export function atPathOf({ pathname, search }: Pick<URL, 'pathname' | 'search'>, base: URL): URL {
  const url = new URL(base);
  [url.pathname, url.search, url.hash] = [pathname, search, ''];
  return url;
}
