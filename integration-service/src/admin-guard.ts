import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorAnswer } from 'service-kit/answers';

/** What a route behind the guard answers to those whom it does not let through. */
export const guardErrors = {
  401: errorAnswer(
    'ADMIN_TOKEN is set, and the request does not bring it.',
    'Send the ADMIN_TOKEN as a bearer token.',
  ),
  403: errorAnswer(
    'The request comes from a page of another site.',
    'Pages of other sites may not use this service.',
  ),
};

/**
 * An `onRequest` hook for routes that are not for everybody. Lets nobody through without the token, if
 * there is one. With or without it, a page of another site cannot use a browser of ours to get in: not
 * by a request of its own (`Sec-Fetch-Site`, and `Origin` where that is missing), and not by a host
 * name of its own that points to us (`Host`), which is how DNS rebinding makes itself same-origin.
 */
export function createAdminGuard({ token, host }: { token?: string | undefined; host: string }) {
  const expected = token === undefined ? undefined : digest(token);

  return async (
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply | undefined> => {
    const { headers } = request;
    if (!isOurs(headers.host ?? '', host) || isCrossSite(request)) {
      return reply.code(403).send({ detail: 'Pages of other sites may not use this service.' });
    }
    if (!expected) return undefined;
    const given = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
    // Of equal length, whatever was sent, and compared in a time that tells nothing.
    if (timingSafeEqual(digest(given), expected)) return undefined;
    return reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send({ detail: 'Send the ADMIN_TOKEN as a bearer token.' });
  };
}

/** An address, or a name that nobody outside can own: one without a dot, or under `localhost`. */
function isOurs(authority: string, host: string): boolean {
  const name = URL.parse(`http://${authority}`)?.hostname ?? '';
  if (name === '') return false;
  const isAddress = isIP(name) > 0 || name.startsWith('[');
  const isLocal = !name.includes('.') || name.endsWith('.localhost');
  return isAddress || isLocal || name === host.toLowerCase();
}

function isCrossSite({ headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
