import { ReadError } from './delivery/target.ts';
import type { ListClaims } from './list-claims.ts';

export interface TrailOptions {
  /** The name of the system, for people. */
  system: string;
  maxPages: number;
  /** It begins where the list does, so that all pages together are what is said of the list. Default: yes. */
  isWhole?: boolean;
  /** So many pages in a row may be empty, and the list go on all the same. Default: 30. */
  maxEmptyPages?: number;
}

/** A page that has been read to its end. */
export interface PassedPage {
  url: URL;
  next: URL | undefined;
  /** How many records it had. */
  count: number;
  claims: ListClaims;
}

/** Of a list that is filtered after it was cut into pages, some are empty; others lead on from each for ever. */
const MAX_EMPTY_PAGES = 30;

export type Trail = ReturnType<typeof createTrail>;

/** Leads from page to page, never to the same one twice. */
export function createTrail(options: TrailOptions) {
  const { system, maxPages, isWhole = true, maxEmptyPages = MAX_EMPTY_PAGES } = options;
  const visited = new Set<string>();
  let empty = 0;
  let records = 0;
  let { total, pages }: ListClaims = {};

  function refuseToEnd(reason: string): never {
    throw new ReadError(`it is not the whole list: ${reason}`, { system, status: 200 });
  }

  /** What ends without having all that it said, or after a page that is not the last one, is not whole. */
  function checkEnd({ next, count, claims }: PassedPage): void {
    if (isWhole && total && records < total.count) refuseToEnd(`${records} came, of ${total.by}`);
    if (isWhole && pages && visited.size < pages.count) {
      refuseToEnd(`it ends after ${visited.size} page(s), of ${pages.by}`);
    }
    if (claims.more && !next)
      refuseToEnd(`it ends without a Link to more, but with ${claims.more}`);
    // Behind a link that was followed, the end is where there is none; the last page may have two names.
    if (isWhole && claims.isNotLast && visited.size === 1 && count > 0 && !next) {
      refuseToEnd(
        'it ends without a Link to more, but the Link to its last page names another one',
      );
    }
  }

  return {
    /**
     * Where to go from a page that has been read. Without `next`, the list is read to the end; what comes
     * later is then at `tail`, if the server leads there; so is the rest of a list that was cut off.
     *
     * @throws {ReadError} when it is the end, but not by what was said of the list: of a total that fell
     * while it was read, the larger one counts, because pages have moved
     */
    follow(page: PassedPage): { next?: URL; tail?: URL; isCut?: true } {
      const { url, next, count, claims } = page;
      visited.add(url.href);
      records += count;
      empty = count === 0 ? empty + 1 : 0;
      if (claims.total && !(total && total.count > claims.total.count)) total = claims.total;
      if (claims.pages && !(pages && pages.count > claims.pages.count)) pages = claims.pages;
      const isNew = next !== undefined && !visited.has(next.href);
      if (isNew && empty <= maxEmptyPages) {
        return visited.size < maxPages ? { next } : { tail: next, isCut: true };
      }
      checkEnd(page);
      const isTail = next !== undefined && (isNew || next.href === url.href);
      return isTail ? { tail: next } : {};
    },
  };
}
