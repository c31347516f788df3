import type { Count, ListClaims } from './list-claims.ts';

export interface TrailOptions {
  /** Default: there is no limit. */
  maxPages?: number;
  /** The trail starts where the list does, so its pages must match the claims of the list. Default: yes. */
  isWhole?: boolean;
  /**
   * The trail continues after up to this many empty pages in a row: a list that is filtered after paging has
   * some, others link to one more page for ever. Default: 30.
   */
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

/**
 * Leads from page to page, never to the same one twice.
 *
 * @returns says where to go from a page that has been read. Without `next`, the list has been read to its end;
 * new records will then appear at `tail`, if the server links to such a page. After `maxPages`, `tail` is the
 * rest of the list. With `hasMoved`, the list had at some time more records than came. With `flaw`, the list
 * ends, but its claims say that there is more: if a total rose while the list was read, the smaller value
 * counts; if it fell, the larger one (with `mayShrink`, the smaller)
 */
export function createTrail(
  options: TrailOptions = {},
): (page: PassedPage) => { next?: URL; tail?: URL; hasMoved?: true; flaw?: string } {
  const { maxPages = Number.POSITIVE_INFINITY, maxEmptyPages = 30 } = options;
  const { isWhole = true, mayShrink = false } = options;
  const visited = new Set<string>();
  let empty = 0;
  let records = 0;
  let total: Said | undefined;
  let pages: Said | undefined;

  /** The number to reach by the end. Records added meanwhile, before the page being read, need not come. */
  function expected(said: Said | undefined): Count | undefined {
    return said?.hasFallen && !mayShrink ? said.most : said?.least;
  }

  /** Why the list cannot end here: before all that it announced, or after a page that is not the last one. */
  function flawOfEnd({ next, count, claims }: PassedPage): string | undefined {
    const [ofAll, ofPages] = [expected(total), expected(pages)];
    if (isWhole && ofAll && records < ofAll.count) return `${records} came, of ${ofAll.by}`;
    if (isWhole && ofPages && visited.size < ofPages.count) {
      return `it ends after ${visited.size} page(s), of ${ofPages.by}`;
    }
    if (next) return undefined;
    if (claims.more) return `it ends without a Link to more, but with ${claims.more}`;
    // After a followed link, a page without a next link is the end, because the last page may have two URLs.
    const isFirst = isWhole && visited.size === 1;
    return isFirst && claims.isNotLast && count > 0
      ? 'it ends without a Link to more, but the Link to its last page names another one'
      : undefined;
  }

  return (page) => {
    const { url, next, count, claims } = page;
    visited.add(url.href);
    records += count;
    empty = count === 0 ? empty + 1 : 0;
    total = hear(total, claims.total);
    pages = hear(pages, claims.pages);
    const isNew = next !== undefined && !visited.has(next.href);
    if (isNew && empty <= maxEmptyPages) {
      return visited.size < maxPages ? { next } : { tail: next };
    }
    const flaw = flawOfEnd(page);
    if (flaw) return { flaw: `it is not the whole list: ${flaw}` };
    const isTail = next !== undefined && (isNew || next.href === url.href);
    const hasMoved = isWhole && records < (total?.most.count ?? 0);
    return { ...(isTail && { tail: next }), ...(hasMoved && { hasMoved }) };
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
