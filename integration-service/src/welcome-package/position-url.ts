import { createHash } from 'node:crypto';

/**
 * A URL of a CRM's list as the ledger may keep it. What the configured URL of the list says itself may be a
 * secret (`?api_key=`) and is repeated by the links of many CRMs: it is left out, and taken from the
 * configuration again. Of the list `/customers?key=1`, the page `/customers?key=1&page=2` is
 * `<>?<0.0>&page=2`: the same path, then the first parameter as it is written there.
 *
 * In a URL, `<` and `>` never stand for themselves.
 */
export function shortenUrl({ pathname, search }: URL, listUrl: URL): string {
  const path = pathname.startsWith(listUrl.pathname)
    ? `<>${pathname.slice(listUrl.pathname.length)}`
    : pathname;
  if (search === '') return path;
  const known = partsOf(listUrl);
  const parts = partsOf({ search }).map((part) => {
    const index = known.findIndex((each) => decode(each) === decode(part));
    if (index < 0) return part;
    return `<${index}.${Math.max(0, spellings(known[index] as string).indexOf(part))}>`;
  });
  return `${path}?${parts.join('&')}`;
}

/** The URL that was shortened, at the server of the list and as its user. */
export function restoreUrl(text: string, listUrl: URL): URL {
  const [path = '', search = ''] = text.split(/\?(.*)/s);
  const known = partsOf(listUrl);
  const url = new URL(listUrl);
  url.pathname = path.replace('<>', () => listUrl.pathname);
  url.search = search.replaceAll(
    /<(\d+)\.(\d+)>/g,
    (_, index, spelling) => spellings(known[index] ?? '')[spelling] ?? '',
  );
  url.hash = '';
  return url;
}

/** What tells one list from another, and cannot be read. */
export function fingerprintOf({ origin, pathname, search }: URL): string {
  return createHash('sha256').update(`${origin}${pathname}${search}`).digest('hex');
}

function partsOf({ search }: Pick<URL, 'search'>): string[] {
  return search === '' ? [] : search.slice(1).split('&');
}

function decode(part: string): string {
  return JSON.stringify([...new URLSearchParams(part)]);
}

/** A parameter as it is written in the configuration, and as libraries of a CRM may write it. */
function spellings(part: string): string[] {
  const parameters = new URLSearchParams(part);
  const [[name, value] = ['', '']] = parameters;
  return [part, parameters.toString(), `${encodeURIComponent(name)}=${encodeURIComponent(value)}`];
}
