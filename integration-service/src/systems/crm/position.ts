import { z } from 'zod';
import type { Page } from '../../http/pages.ts';
import type { PassedPage } from '../../http/trail.ts';
import { fingerprintOfList, shortenUrl } from '../position-url.ts';

const shortUrlSchema = z.string().regex(/^(<>|\/)/);

/** Where to read on in a CRM's list: records there are new. Contains nothing of the list's configured URL. */
export const positionSchema = z.object({
  /** The fingerprint of the list that the position belongs to. */
  list: z.string(),
  /** The page that is requested again: one that may be empty as yet, or the last one that had records. */
  url: shortUrlSchema,
  /** The ETag of that page when it was read. */
  etag: z.string().optional(),
  /** The id of the first customer on that page: another id there means that the pages have moved. */
  first: z.string().optional(),
  /** The page after it, which was empty. Default: that page links to no other one. */
  next: shortUrlSchema.optional(),
});

export type Position = z.output<typeof positionSchema>;

/** A page that was read. */
export interface PageRead extends Page, PassedPage {
  /** The id of its first customer. */
  first: string | undefined;
}

/**
 * Where the next poll can begin, after one that ended with `page`; `undefined`: it must read the whole list.
 *
 * @param tail the page that `page` links to, although that has no records yet
 * @param lastFull the last page that had records
 */
export function positionAfter(
  listUrl: URL,
  { page, tail, lastFull }: { page: PageRead; tail: URL | undefined; lastFull: PageRead },
): Position | undefined {
  const list = fingerprintOfList(listUrl);
  const positionAt = ({ url, etag, first }: PageRead) => ({
    list,
    url: shortenUrl(url, listUrl),
    ...(etag !== undefined && { etag }),
    ...(first !== undefined && { first }),
  });
  if (!tail) {
    const isAlone = page.url.href === listUrl.href && !page.isPaged && !mayPage(listUrl);
    return page.etag && isAlone && !mayBeFull(page.count) ? positionAt(page) : undefined;
  }
  const isHere = tail.href === page.url.href && (page.count > 0 || !isNumbered(tail));
  if (isHere) return positionAt(page);
  return {
    ...positionAt(lastFull),
    ...(lastFull.next && { next: shortenUrl(lastFull.next, listUrl) }),
  };
}

/** Whether parameters of a URL may select a page of a list: others may change while that page does not. */
function mayPage({ searchParams }: URL): boolean {
  return [...searchParams.keys()].some((name) =>
    /page|limit|offset|size|start|skip|top|count|cursor|after|before|from|first|last|since|per|max|row|take|range/i.test(
      name,
    ),
  );
}

/**
 * Whether a list may end exactly where its first page is full. Such a page links to no other one yet, and it
 * stays unchanged when a second page appears. Page sizes are round numbers, at most some thousands.
 */
function mayBeFull(count: number): boolean {
  return count > 0 && count <= 10_000 && [5, 8, 12].some((size) => count % size === 0);
}

/**
 * Whether a page is numbered. Numbered pages stay where they are: a new record may appear on the page before
 * an empty one. A cursor, by contrast, names the last record before its page.
 */
function isNumbered({ pathname, searchParams }: URL): boolean {
  const isPageNumber = ([name, value]: [string, string]) =>
    /^\d+$/.test(value) && !/after|since|cursor|marker|token|limit|size|per|count|max/i.test(name);
  return /\/\d+\/?$/.test(pathname) || [...searchParams].some(isPageNumber);
}
