import type { HttpStream } from './client.ts';
import { excerpt } from './response.ts';

/** A count, and the header that states it: `X-Total-Count: 12`. */
export interface Count {
  count: number;
  by: string;
}

/** What the headers of a page say about the whole list. */
export interface ListClaims {
  /** How many records the list has. */
  total?: Count;
  /** How many pages it has. */
  pages?: Count;
  /** The header that says that this page is not the last one, or may not be: `X-Next-Page: 2`. */
  more?: string;
  /** The links of the page name another page as the last one. */
  isNotLast?: true;
}

/*
 * These match header names in lower case without dashes. In use are: X-Total-Count (json-server and many
 * others), X-Total (GitLab), X-WP-Total, X-WP-TotalPages (WordPress), X-Pagination-Total-Count (Yii), X-Pages
 * (EVE), x-ms-continuationtoken (Azure). A header that counts the records of one page may match too: such a
 * count contradicts nothing.
 */
const TOTAL =
  /^x?(wp|pagination|paging)?(total((item|record|result|row|element|entr|object)\w*|count)?|(result|item|record)s?(count|total))$/;
const PAGES = /^x?(wp|pagination|paging)?(totalpages?(count)?|pages?count|pages|lastpage)$/;
const MORE =
  /^x?(wp|pagination|paging)?(next(page|cursor|token|offset|pagelink)?|has(more|next)(page|items)?|(ms)?continuation(token)?|(is)?(truncated|partial|incomplete))$/;
/** Such a header can hold all of these as a JSON object: in ASP.NET and flask-smorest, for example. */
const OBJECT = /^x?(pagination|paging)(headers?)?$/;
const NOTHING = /^(|0|-1|\*|null|none|false|unknown|undefined|n\/a)$/i;

/**
 * What an answer's headers say about the list that its page belongs to. If a count is stated more than once,
 * the largest value applies.
 *
 * @param hide removes secrets from a value that is shown
 * @throws {Error} when the name of a header is known, but its value cannot be understood
 */
export function claimsOf(
  headers: HttpStream['headers'],
  hide: (text: string) => string,
): ListClaims {
  const claims: ListClaims = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name !== 'content-range' && !MAY_CLAIM.test(name)) continue;
    const text = hide(linesOf(value));
    if (name === 'content-range') claimRange(claims, text);
    else claim(claims, name, text);
  }
  return claims;
}

/** Every name that is looked for contains one of these. */
const MAY_CLAIM = /total|count|pag|next|more|continuation|truncated|partial|incomplete/i;

function claim(claims: ListClaims, name: string, value: string, header = name): void {
  const by = `${header}: ${excerpt(Buffer.from(value))}`;
  const bare = name.toLowerCase().replaceAll(/[^a-z]/g, '');
  if (OBJECT.test(bare) && value.startsWith('{')) {
    for (const [key, part] of Object.entries(parseObject(value, by))) {
      if (typeof part !== 'object') claim(claims, `x-${key}`, String(part), `${header} ${key}`);
    }
  } else if (NOTHING.test(value)) {
    return;
  } else if (TOTAL.test(bare)) {
    claims.total = larger(claims.total, { count: countOf(value, by), by });
  } else if (PAGES.test(bare)) {
    claims.pages = larger(claims.pages, { count: countOf(value, by), by });
  } else if (MORE.test(bare)) {
    claims.more = by;
  }
}

/** Reads `items 0-9/12`, as in RFC 9110, section 14.4, or without the unit, as PostgREST sends it. */
function claimRange(claims: ListClaims, value: string): void {
  const by = `Content-Range: ${value}`;
  const match = /^(?:([^\s/]+) +)?(?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(value.trim());
  if (!match) throw misunderstood(by);
  const [, unit, first, last = '-1', length = ''] = match;
  const isAll = Number(first ?? 0) === 0 && Number(last) + 1 === Number(length);
  if (isAll && unit?.toLowerCase() === 'bytes') return;
  if (unit?.toLowerCase() === 'bytes') throw new Error(`it is not the whole list (${by})`);
  if (length === '*') claims.more = by;
  else claims.total = larger(claims.total, { count: Number(length), by });
  if (first !== undefined && Number(last) + 1 < Number(length)) claims.more = by;
}

/** The lines of a header, joined into one. */
export function linesOf(value: string | string[] | undefined): string {
  return [value ?? []].flat().join(', ');
}

function parseObject(value: string, by: string): object {
  try {
    return JSON.parse(value);
  } catch {
    throw misunderstood(by);
  }
}

function countOf(value: string, by: string): number {
  const counts = value.split(',').map((each) => each.trim());
  if (!counts.every((each) => /^-?\d{1,15}$/.test(each))) throw misunderstood(by);
  return Math.max(...counts.map(Number));
}

function larger(known: Count | undefined, other: Count): Count {
  return known && known.count >= other.count ? known : other;
}

function misunderstood(by: string): Error {
  return new Error(`what it says of its length cannot be understood (${by})`);
}

/**
 * The header that shows that an answer is not the current list: a cache's `Warning` that the answer is stale
 * (RFC 7234, section 5.5), or an `Age`, if the answer must not be older than the request.
 */
export function staleBy(
  { age, warning }: HttpStream['headers'],
  { mayBeOlder }: { mayBeOlder: boolean },
): string | undefined {
  const warnings = linesOf(warning);
  const codes = warnings.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  if (/(?:^|,)\s*11[0-3]\s/.test(codes)) return `Warning: ${excerpt(Buffer.from(warnings))}`;
  const ages = linesOf(age);
  return !mayBeOlder && /[1-9]/.test(ages) ? `Age: ${ages}` : undefined;
}
