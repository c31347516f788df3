import { excerpt } from './response.ts';

export interface Link {
  /** The URL as written in the header, possibly relative. */
  target: string;
  /** In lower case: `next`, `last`, … */
  relations: string[];
  /** The URL that the link starts from, if it is not the requested one. */
  anchor: string | undefined;
}

const TARGET = /[\s,]*<([^<>]*)>/y;
const PARAMETER = /\s*;\s*(?:([^\s=;,"<>]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+)))?)?/y;
const END = /\s*(?:,|$)/y;
const NOTHING_MORE = /[\s,]*$/y;

/**
 * Parses the links of a `Link` header, its lines joined by commas, by the grammar of RFC 8288, section 3.
 * Names of parameters and relations are compared in lower case, and a link can have several relations.
 *
 * @throws {Error} when the header cannot be understood, or a link has no relation and so no known meaning
 */
export function parseLinks(header: string): Link[] {
  const links: Link[] = [];
  const text = header.trim();
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  while (!take(NOTHING_MORE)) {
    const target = take(TARGET)?.[1];
    if (target === undefined) throw misunderstood(text);
    const parameters = new Map<string, string>();
    for (let found = take(PARAMETER); found; found = take(PARAMETER)) {
      const [, name = '', quoted, token = ''] = found;
      const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? token;
      // Of several parameters with the same name, the first one counts.
      if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
    }
    const relations = parameters.get('rel')?.toLowerCase().split(/\s+/).filter(Boolean) ?? [];
    if (relations.length === 0 || !take(END)) throw misunderstood(text);
    links.push({ target, relations, anchor: parameters.get('anchor') });
  }
  return links;
}

function misunderstood(text: string): Error {
  return new Error(`its Link header cannot be understood: ${excerpt(Buffer.from(text))}`);
}
