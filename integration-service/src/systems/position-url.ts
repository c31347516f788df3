import { createHash } from 'node:crypto';
import { atPathOf } from '../http/pages.ts';

/**
 * A URL of a CRM's list in the form in which the ledger may keep it. The configured URL of the list may
 * contain a secret (`?api_key=`), which the links of many CRMs repeat: the parts of that URL are left out,
 * and `restoreUrl` takes them from the configuration. In the list `/customers?key=1`, the page
 * `/customers?key=1&page=2` becomes `<>?<0.0>&page=2`: the same path, then the first parameter as it is
 * written in the configuration.
 *
 * The marks are unambiguous, because a URL contains `<` and `>` only in escaped form.
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

/** The URL that was shortened, with the server, user name and password of the list. */
export function restoreUrl(text: string, listUrl: URL): URL {
  const [path = '', search = ''] = text.split(/\?(.*)/s);
  const known = partsOf(listUrl);
  const pathname = path.replace('<>', () => listUrl.pathname);
  const spell = (_: string, index: number, spelling: number) =>
    spellings(known[index] ?? '')[spelling] ?? '';
  return atPathOf({ pathname, search: search.replaceAll(/<(\d+)\.(\d+)>/g, spell) }, listUrl);
}

/** Tells one list from another without revealing its URL: a SHA-256 in hexadecimal. */
export function fingerprintOfList({ origin, pathname, search }: URL): string {
  return createHash('sha256').update(`${origin}${pathname}${search}`).digest('hex');
}

function partsOf({ search }: Pick<URL, 'search'>): string[] {
  return search === '' ? [] : search.slice(1).split('&');
}

function decode(part: string): string {
  return JSON.stringify([...new URLSearchParams(part)]);
}

/** The spellings of a parameter: as in the configuration, and as the libraries of a CRM may write it. */
function spellings(part: string): string[] {
  const parameters = new URLSearchParams(part);
  const [[name, value] = ['', '']] = parameters;
  return [part, parameters.toString(), `${encodeURIComponent(name)}=${encodeURIComponent(value)}`];
}
