import { ReadError } from '../delivery/target.ts';
import type { Count, ListClaims } from './list-claims.ts';

export interface TrailOptions {
  /** The name of the system, for people. */
  system: string;
  maxPages: number;
  /** The trail starts where the list does, so its pages must match the claims of the list. Default: yes. */
  isWhole?: boolean;
  /** The trail continues after up to this many empty pages in a row. Default: 30. */
  maxEmptyPages?: number;
  /**
   * Records may be deleted from the list while it is read. Numbered pages then move, and a record is missed:
   * harmless to a caller that reads again soon and concludes nothing from a missing record. Default: no.
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

/** A number that the pages state, which may change while they are read. */
interface Said {
  least: Count;
  most: Count;
  /** A later page stated a smaller number. */
  hasFallen: boolean;
}

/** A list that is filtered after paging has some empty pages; other lists link to one more page for ever. */
const MAX_EMPTY_PAGES = 30;

/** Leads from page to page, never to the same one twice. */
export interface Trail {
  /**
   * Where to go from a page that has been read. Without `next`, the list has been read to its end; new
   * records will then appear at `tail`, if the server links to such a page. With `isCut`, `tail` is the
   * rest of a list with too many pages. With `hasMoved`, the list had at some time more records than came.
   *
   * @throws {ReadError} when the list ends, but its claims say that there is more: if a total rose while
   * the list was read, the smaller value counts; if it fell, the larger one (with `mayShrink`, the smaller)
   */
  follow(page: PassedPage): { next?: URL; tail?: URL; isCut?: true; hasMoved?: true };
}

export function createTrail(options: TrailOptions): Trail {
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

  /** The number to reach by the end. Records added meanwhile, before the page being read, need not come. */
  function expected(said: Said | undefined): Count | undefined {
    return said?.hasFallen && !mayShrink ? said.most : said?.least;
  }

  /** Throws when the list ends before all that it announced, or after a page that is not the last one. */
  function checkEnd({ next, count, claims }: PassedPage): void {
    const [ofAll, ofPages] = [expected(total), expected(pages)];
    if (isWhole && ofAll && records < ofAll.count) refuseToEnd(`${records} came, of ${ofAll.by}`);
    if (isWhole && ofPages && visited.size < ofPages.count) {
      refuseToEnd(`it ends after ${visited.size} page(s), of ${ofPages.by}`);
    }
    if (claims.more && !next)
      refuseToEnd(`it ends without a Link to more, but with ${claims.more}`);
    // After a followed link, a page without a next link is the end, because the last page may have two URLs.
    if (isWhole && claims.isNotLast && visited.size === 1 && count > 0 && !next) {
      refuseToEnd(
        'it ends without a Link to more, but the Link to its last page names another one',
      );
    }
  }

  return {
    follow(page) {
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
