import { z } from 'zod';
import { ReadError } from '../delivery/target.ts';
import { type ListSource, MAX_PAGES, openPage, type Page } from '../http/pages.ts';
import { createTrail } from '../http/trail.ts';
import { fingerprintOfList, restoreUrl, shortenUrl } from './position-url.ts';

/** A list as it was read: its pages, each with its ETag. Contains nothing of the list's configured URL. */
const snapshotSchema = z.object({
  /** The fingerprint of the list. */
  list: z.string(),
  pages: z.array(z.object({ url: z.string(), etag: z.string() })).min(1),
});
export type Snapshot = z.output<typeof snapshotSchema>;

/** A list that is being read. */
export interface ListReading<Record = unknown> {
  /** Complete only if it ends without an error. @throws {ReadError} */
  records: AsyncIterable<Record>;
  /** What was read, once all records have been; `undefined` if the pages cannot be asked about again. */
  snapshot(): Snapshot | undefined;
  /** Gives up a reading whose records nobody reads. */
  close(): void;
}

export interface ReadOptions {
  /** The snapshot of an earlier reading, if it is one. Default: nothing is known. */
  known?: unknown;
  signal?: AbortSignal | undefined;
}

/** More pages than this are not worth a request each. */
const MOST_KNOWN = 10;

/** Reads a list whole, or finds out by a request for each page that it is still what was read before. */
export function createListReader(source: ListSource, url: URL) {
  const { system } = source;
  const list = fingerprintOfList(url);

  interface KnownPage {
    url: URL;
    etag: string;
  }

  function pagesOf(known: unknown): KnownPage[] {
    const snapshot = snapshotSchema.safeParse(known).data;
    if (snapshot?.list !== list) return [];
    return snapshot.pages.map((page) => ({ ...page, url: restoreUrl(page.url, url) }));
  }

  /** Whether an answer says that a known page, and where it leads, are the same. */
  function isSame(page: Page, behind: KnownPage | undefined, at: URL): boolean {
    const leadsTo = page.next?.href ?? behind?.url.href;
    return page.isUnchanged && [behind?.url.href, at.href].includes(leadsTo);
  }

  function readFrom(first: Page, stop: AbortController, signal: AbortSignal): ListReading {
    const pages: Snapshot['pages'] = [];
    let isTagged = true;
    async function* records() {
      const follow = createTrail();
      let page = first;
      for (let at = url, count = 0; ; count = 0) {
        isTagged &&= page.etag !== undefined;
        pages.push({ url: shortenUrl(at, url), etag: page.etag ?? '' });
        for await (const record of page.records) {
          count += 1;
          yield record;
        }
        const { next, flaw } = follow({ ...page, url: at, count });
        if (flaw) throw new ReadError(flaw, { system, status: 200 });
        if (!next) return;
        if (pages.length === MAX_PAGES) {
          throw new ReadError(`it leads on after ${MAX_PAGES} pages`, { system });
        }
        page = await openPage(source, { url: next, signal });
        at = next;
      }
    }
    return {
      records: records(),
      snapshot: () => (isTagged && pages.length <= MOST_KNOWN ? { list, pages } : undefined),
      close: () => stop.abort(),
    };
  }

  return {
    /**
     * Returns `undefined` if the list is still the one that is known.
     *
     * @throws {ReadError}
     */
    async read(options: ReadOptions = {}): Promise<ListReading | undefined> {
      const known = pagesOf(options.known);
      const stop = new AbortController();
      const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
      // A page that has changed is read in its turn.
      const probing = new AbortController();
      const probe = AbortSignal.any([signal, probing.signal]);
      for (const [i, { url: at, etag }] of known.entries()) {
        const page = await openPage(source, { url: at, etag, signal: i === 0 ? signal : probe });
        if (isSame(page, known[i + 1], at)) continue;
        if (i === 0 && !page.isUnchanged) return readFrom(page, stop, signal);
        probing.abort();
        return readFrom(await openPage(source, { url, signal }), stop, signal);
      }
      if (known.length > 0) return undefined;
      return readFrom(await openPage(source, { url, signal }), stop, signal);
    },
  };
}
