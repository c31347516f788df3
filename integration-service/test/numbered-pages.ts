import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { startHttpServer } from './support.ts';

export interface NumberedPagesOptions {
  /** Whether a page links to the next one. Default: only if it is full. */
  leadsOn?: (page: { isFull: boolean; isLast: boolean }) => boolean;
  /** Whether a 304 has the `Link` of the page, as in Express. Default: yes. */
  keepsLink?: boolean;
  /** Whether pages have a tag. Default: yes, a tag of only the body, as Express makes it. */
  isTagged?: boolean;
  headers?: (page: { total: number; number: number }) => Record<string, string>;
}

/**
 * A real server that lists customers in pages of ten: `/customers`, `/customers?page=2`, … The test can
 * read and change what it lists and read what it was asked; if `disturb` returns true, it has answered
 * instead.
 */
export async function startNumberedPages(options: NumberedPagesOptions = {}) {
  const { leadsOn = ({ isFull }) => isFull, keepsLink = true, isTagged = true } = options;
  const ids: string[] = [];
  const asked: string[] = [];
  const state: { disturb?: (path: string, response: ServerResponse) => boolean } = {};
  const url = await startHttpServer((request, response) => {
    const path = request.url ?? '';
    if (state.disturb?.(path, response)) {
      asked.push(`${path} disturbed`);
      return;
    }
    const number = Number(new URLSearchParams(path.split('?')[1]).get('page') ?? 1);
    const page = ids.slice(number * 10 - 10, number * 10);
    const body = JSON.stringify(page.map((id) => ({ id, name: id })));
    const isFull = page.length === 10;
    const link = leadsOn({ isFull, isLast: ids.length <= number * 10 })
      ? { link: `</customers?page=${number + 1}>; rel="next"` }
      : {};
    const etag = `W/"${createHash('sha1').update(body).digest('base64')}"`;
    const headers = {
      ...(isTagged && { etag }),
      ...options.headers?.({ total: ids.length, number }),
    };
    const isKnown = isTagged && request.headers['if-none-match'] === etag;
    asked.push(isKnown ? `${path} 304` : path);
    if (isKnown) response.writeHead(304, { ...headers, ...(keepsLink && link) }).end();
    else response.writeHead(200, { ...headers, ...link }).end(body);
  });
  return Object.assign(state, {
    url: `${url}/customers`,
    ids,
    add: (...more: string[]) => void ids.push(...more),
    /** The requests since the last call, in order. */
    take: () => asked.splice(0),
  });
}

export const names = (count: number, prefix = 'customer') =>
  Array.from({ length: count }, (_, i) => `${prefix}-${i + 1}`);
