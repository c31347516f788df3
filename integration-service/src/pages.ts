import LinkHeader from 'http-link-header';
import { ReadError } from './delivery/target.ts';
import type { HttpClient, HttpStream } from './http-client.ts';
import { collectBegin, describeResponse, isSuccess } from './http-response.ts';
import { readJsonArray } from './json-array.ts';

/** A system that lists something. */
export interface ListSource {
  http: HttpClient;
  /** Its name, for people: `CRM`. */
  system: string;
  /** What is listed, for people: `customers`. */
  what: string;
  /** How much of a page is read. */
  maxBytes: number;
  /** How long it asks to be left alone, by its answer; in milliseconds. Default: it does not say. */
  retryAfterMs?: (headers: HttpStream['headers']) => number | undefined;
}

/** A page of a list; with most APIs, the list is one page. */
export interface Page {
  /**
   * Its elements as they come, good for use when the last one has.
   * @throws {ReadError}
   */
  records: AsyncIterable<unknown>;
  /** Where the list goes on, by its `Link` header (RFC 8288). There may be nothing yet. */
  next: URL | undefined;
  etag: string | undefined;
}

export interface PageRequest {
  url: URL;
  /** What is here already. Default: nothing. */
  etag?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** A list of more pages has no end. */
const MAX_PAGES = 10_000;
/** Of a list that is filtered after it was cut into pages, some are empty. */
const MAX_EMPTY_PAGES = 10;

/**
 * Asks for a page; `unchanged` when the server says that it still is what `etag` names.
 *
 * @throws {ReadError}
 */
export async function openPage(
  source: ListSource,
  { url, etag, signal }: PageRequest,
): Promise<Page | 'unchanged'> {
  const { http, system, what, maxBytes } = source;
  try {
    const headers = etag === undefined ? {} : { 'if-none-match': etag };
    const stream = await http.open({ method: 'GET', url, headers, maxBytes, signal });
    if (stream.status === 304 && etag !== undefined) {
      await collectBegin(stream);
      return 'unchanged';
    }
    if (!isSuccess(stream.status)) throw await refusalOf(stream, source);
    const { etag: tag } = stream.headers;
    return {
      records: reportingAs(system, readJsonArray(stream, what)),
      next: nextOf(stream, url),
      etag: typeof tag === 'string' ? tag : undefined,
    };
  } catch (error) {
    throw toReadError(error, system);
  }
}

/**
 * All elements of a list, page after page, as they come; only all of them when it ends without an error.
 *
 * @throws {ReadError}
 */
export async function* readPages(
  source: ListSource,
  request: PageRequest,
): AsyncGenerator<unknown> {
  const trail = createTrail(MAX_PAGES);
  for (let url: URL | undefined = request.url; url; ) {
    const page = await openPage(source, { url, signal: request.signal });
    if (page === 'unchanged') return;
    const { records, next } = page;
    let count = 0;
    for await (const record of records) {
      count += 1;
      yield record;
    }
    const after = trail.follow({ url, next, count });
    if (after.isCut) {
      throw new ReadError(`it leads on after ${MAX_PAGES} pages`, { system: source.system });
    }
    url = after.next;
  }
}

/** Leads from page to page, never to the same one twice. */
export function createTrail(maxPages: number) {
  const visited = new Set<string>();
  let empty = 0;
  return {
    /**
     * Where to go from a page that has been read. Without `next`, the list is read to the end; what comes
     * later is then at `tail`, if the server leads there; so is the rest of a list that was cut off.
     */
    follow(page: { url: URL; next: URL | undefined; count: number }): {
      next?: URL;
      tail?: URL;
      isCut?: true;
    } {
      const { url, next, count } = page;
      visited.add(url.href);
      empty = count === 0 ? empty + 1 : 0;
      if (!next) return {};
      if (next.href === url.href || empty > MAX_EMPTY_PAGES) return { tail: next };
      if (visited.has(next.href)) return {};
      return visited.size < maxPages ? { next } : { tail: next, isCut: true };
    },
  };
}

async function* reportingAs(system: string, records: AsyncIterable<unknown>) {
  try {
    yield* records;
  } catch (error) {
    throw toReadError(error, system);
  }
}

function toReadError(error: unknown, system: string): ReadError {
  if (error instanceof ReadError) return error;
  return new ReadError((error as Error).message, { system, cause: error });
}

async function refusalOf(stream: HttpStream, source: ListSource): Promise<ReadError> {
  const response = await collectBegin(stream);
  const { status, headers } = response;
  return new ReadError(describeResponse(response), {
    system: source.system,
    status,
    isUnauthorized: [401, 403].includes(status),
    retryAfterMs: source.retryAfterMs?.(headers),
  });
}

/** The next page, of the server that we know: behind a proxy, it may call itself otherwise. */
function nextOf({ headers }: HttpStream, url: URL): URL | undefined {
  const link = [headers.link ?? []].flat().join(', ');
  const target = parseLinks(link).rel('next')[0]?.uri;
  const named = target === undefined ? undefined : URL.parse(target, url);
  return named ? atPathOf(named, url) : undefined;
}

/** The path and query of one URL at the server, and with the user name and password, of another. */
export function atPathOf({ pathname, search }: URL, base: URL): URL {
  const url = new URL(base);
  [url.pathname, url.search] = [pathname, search];
  return url;
}

function parseLinks(text: string): LinkHeader {
  try {
    return LinkHeader.parse(text);
  } catch {
    return new LinkHeader();
  }
}
