import { STATUS_CODES } from 'node:http';
import { shorten } from '../shorten.ts';
import type { HttpResponse, HttpStream } from './client.ts';
import { hideQuery } from './hide-secrets.ts';

/**
 * Reads the start of an answer's body, 10 kB and the rest of a chunk: more than a message shows, and mostly
 * the whole body, so that the connection can be reused.
 */
export async function collectBegin({ status, headers, body }: HttpStream): Promise<HttpResponse> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 10_000) break;
  }
  return { status, headers, body: Buffer.concat(chunks) };
}

/** `404 Not Found: <the start of the body>`, or `307 Temporary Redirect to <location>`. */
export function describeResponse({ status, headers, body }: HttpResponse): string {
  const reason = [status, STATUS_CODES[status]].filter(Boolean).join(' ');
  if (status >= 300 && status < 400 && headers.location) {
    const to = shorten([headers.location].flat().map(hideQuery).join(', '), 200);
    return `${reason} to ${to}, and redirects are not followed`;
  }
  return body.length > 0 ? `${reason}: ${excerpt(body)}` : reason;
}

/** The first 120 characters of a body, on one line. */
export function excerpt(body: Buffer): string {
  return shorten(body.toString('utf8', 0, 500).replaceAll(/\s+/g, ' ').trim(), 120);
}

/**
 * A reason without its excerpt of an answer, for readers who may not see the content of answers. The excerpt
 * follows a colon.
 */
export function withoutExcerpt(reason: string): string {
  const [begin = '', ...rest] = reason.split(': ');
  return rest.length > 0 && /\([^)]*$/.test(begin) ? `${begin})` : begin;
}
