import { z } from 'zod';
import { fingerprintOf, shortenUrl } from './position-url.ts';

const shortUrlSchema = z.string().regex(/^(<>|\/)/);

/** Where the list of a CRM goes on: what it shows there has come since. Holds nothing of its configured URL. */
export const positionSchema = z.object({
  /** The fingerprint of the list that it is a position in. */
  list: z.string(),
  /** A page that is asked for again: where there is nothing yet, or the last one that had records. */
  url: shortUrlSchema,
  /** What was there last. */
  etag: z.string().optional(),
  /** The id of the first record there: another one there means that the pages have moved. */
  first: z.string().optional(),
  /** The page behind it, where nothing was. Default: it leads nowhere else. */
  next: shortUrlSchema.optional(),
});

export type Position = z.output<typeof positionSchema>;

/** A page as it was read. */
export interface PageRead {
  url: URL;
  next: URL | undefined;
  count: number;
  /** The id of its first record. */
  first: string | undefined;
  etag: string | undefined;
  isPaged: boolean;
}

/**
 * Where the next poll can begin, after one that ended with `page`; `undefined` when the whole list must be read.
 *
 * @param tail where the list leads on from there, although nothing is there yet
 * @param lastFull the last page that had records
 */
export function positionAfter(
  listUrl: URL,
  { page, tail, lastFull }: { page: PageRead; tail: URL | undefined; lastFull: PageRead },
): Position | undefined {
  const list = fingerprintOf(listUrl);
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

/** Its parameters may choose a page of a list: an answer that has not changed says nothing of the others. */
function mayPage({ searchParams }: URL): boolean {
  return [...searchParams.keys()].some((name) =>
    /page|limit|offset|size|start|skip|top|count|cursor|after|before|from|first|last|since|per|max|row|take|range/i.test(
      name,
    ),
  );
}

/**
 * A list that ends where its first page is full does not lead on yet; when it does, that page is unchanged all
 * the same. Sizes of pages are round, and no more than some thousands.
 */
function mayBeFull(count: number): boolean {
  return count > 0 && count <= 10_000 && [5, 8, 12].some((size) => count % size === 0);
}

/**
 * Pages with numbers stay where they are: what is new may come on the page before. A cursor names the last
 * record before it.
 */
function isNumbered({ pathname, searchParams }: URL): boolean {
  const isPageNumber = ([name, value]: [string, string]) =>
    /^\d+$/.test(value) && !/after|since|cursor|marker|token|limit|size|per|count|max/i.test(name);
  return /\/\d+\/?$/.test(pathname) || [...searchParams].some(isPageNumber);
}
