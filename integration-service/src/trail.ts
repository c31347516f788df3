import { ReadError } from './delivery/target.ts';
import type { Count, ListClaims } from './list-claims.ts';

export interface TrailOptions {
  /** The name of the system, for people. */
  system: string;
  maxPages: number;
  /** It begins where the list does, so that all pages together are what is said of the list. Default: yes. */
  isWhole?: boolean;
  /** So many pages in a row may be empty, and the list go on all the same. Default: 30. */
  maxEmptyPages?: number;
  /**
   * It may lose records while it is read. With numbers, pages move then, and one record is passed over:
   * whoever looks again soon, and concludes nothing from what is not there, need not mind. Default: no.
   */
  mayShrink?: boolean;
}

/** A page that has been read to its end. */
export interface PassedPage {
  url: URL;
  next: URL | undefined;
  /** How many records it had. */
  count: number;
  claims: ListClaims;
}

/** What the pages have said of a number, which may change while they are read. */
interface Said {
  least: Count;
  most: Count;
  /** A later page said less. */
  hasFallen: boolean;
}

/** Of a list that is filtered after it was cut into pages, some are empty; others lead on from each for ever. */
const MAX_EMPTY_PAGES = 30;

export type Trail = ReturnType<typeof createTrail>;

/** Leads from page to page, never to the same one twice. */
export function createTrail(options: TrailOptions) {
  const { system, maxPages, isWhole = true, mayShrink = false } = options;
  const { maxEmptyPages = MAX_EMPTY_PAGES } = options;
  const visited = new Set<string>();
  let empty = 0;
  let records = 0;
  let total: Said | undefined;
  let pages: Said | undefined;

  function refuseToEnd(reason: string): never {
    throw new ReadError(`it is not the whole list: ${reason}`, { system, status: 200 });
  }

  /** What there must be at the end: whoever came meanwhile, and stands before what was read by then, need not. */
  function expected(said: Said | undefined): Count | undefined {
    return said?.hasFallen && !mayShrink ? said.most : said?.least;
  }

  /** What ends without having all that it said, or after a page that is not the last one, is not whole. */
  function checkEnd({ next, count, claims }: PassedPage): void {
    const [ofAll, ofPages] = [expected(total), expected(pages)];
    if (isWhole && ofAll && records < ofAll.count) refuseToEnd(`${records} came, of ${ofAll.by}`);
    if (isWhole && ofPages && visited.size < ofPages.count) {
      refuseToEnd(`it ends after ${visited.size} page(s), of ${ofPages.by}`);
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
     * later is then at `tail`, if the server leads there; so is the rest of a list that was cut off. With
     * `hasMoved`, the list had more at some time than came.
     *
     * @throws {ReadError} when it is the end, but not by what was said of the list: of a total that rose
     * while it was read, the smaller one counts, and of one that fell, the larger one
     */
    follow(page: PassedPage): { next?: URL; tail?: URL; isCut?: true; hasMoved?: true } {
      const { url, next, count, claims } = page;
      visited.add(url.href);
      records += count;
      empty = count === 0 ? empty + 1 : 0;
      total = hear(total, claims.total);
      pages = hear(pages, claims.pages);
      const isNew = next !== undefined && !visited.has(next.href);
      if (isNew && empty <= maxEmptyPages) {
        return visited.size < maxPages ? { next } : { tail: next, isCut: true };
      }
      checkEnd(page);
      const isTail = next !== undefined && (isNew || next.href === url.href);
      const hasMoved = isWhole && records < (total?.most.count ?? 0);
      return { ...(isTail && { tail: next }), ...(hasMoved && { hasMoved }) };
    },
  };
}

function hear(said: Said | undefined, count: Count | undefined): Said | undefined {
  if (!said || !count) return said ?? (count && { least: count, most: count, hasFallen: false });
  return {
    least: count.count < said.least.count ? count : said.least,
    most: count.count > said.most.count ? count : said.most,
    hasFallen: said.hasFallen || count.count < said.most.count,
  };
}
