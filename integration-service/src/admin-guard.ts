import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorAnswer } from 'service-kit/answers';
import { z } from 'zod';

const FOREIGN_PAGE = 'Pages of other sites may not use this service.';
const FOREIGN_NAME =
  'The Host of the request is no name of this service: use localhost or an address, put the name into ALLOWED_HOSTS, or set an ADMIN_TOKEN.';

/** What a route behind the guard answers to those whom it does not let through. */
export const guardErrors = {
  401: {
    ...errorAnswer(
      'ADMIN_TOKEN is set, and the request does not bring it.',
      'Send the ADMIN_TOKEN as a bearer token.',
    ),
    headers: {
      'WWW-Authenticate': z.literal('Bearer').meta({ description: 'How to bring it.' }),
    },
  },
  403: errorAnswer(
    'Without an ADMIN_TOKEN: the request comes from a page of another site, or by a name with a dot that ALLOWED_HOSTS does not list.',
    FOREIGN_PAGE,
  ),
};

export interface AdminGuardOptions {
  /** Who brings it may come in, and nobody else. Without it, everybody may who is no page of another site. */
  token?: string | undefined;
  /** The host that the service listens on. */
  host: string;
  /** More names with a dot, in lower case, that are ours; for those who need no token. Default: none. */
  allowedHosts?: readonly string[] | undefined;
}

/**
 * An `onRequest` hook for routes that are not for everybody. With a token, that is the protection, by
 * whatever name and through whatever proxy a request comes: a page of another site does not know it,
 * and could not send it without being asked for permission first (CORS), which this service never gives.
 *
 * Without a token, a page of another site cannot use a browser of ours to get in: not by a request of
 * its own (`Sec-Fetch-Site`, and `Origin` where that is missing), and not by a host name of its own that
 * points to us (`Host`), which is how DNS rebinding makes itself same-origin.
 */
export function createAdminGuard({ token, host, allowedHosts = [] }: AdminGuardOptions) {
  const names = new Set([host.toLowerCase(), ...allowedHosts]);
  const expected = token === undefined ? undefined : digest(token);

  return async (
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply | undefined> => {
    if (expected) {
      if (hasToken(request, expected)) return undefined;
      const detail = 'Send the ADMIN_TOKEN as a bearer token.';
      return reply.code(401).header('www-authenticate', 'Bearer').send({ detail });
    }
    const isForeignPage = isCrossSite(request);
    if (!isForeignPage && isOurs(request.headers.host ?? '', names)) return undefined;
    return reply.code(403).send({ detail: isForeignPage ? FOREIGN_PAGE : FOREIGN_NAME });
  };
}

function hasToken({ headers }: FastifyRequest, expected: Buffer): boolean {
  const given = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
  // Of equal length, whatever was sent, and compared in a time that tells nothing.
  return timingSafeEqual(digest(given), expected);
}

/** An address, a name that nobody outside can own (without a dot, or under `localhost`), or one of ours. */
function isOurs(authority: string, names: ReadonlySet<string>): boolean {
  const name = URL.parse(`http://${authority}`)?.hostname ?? '';
  if (name === '') return false;
  const isAddress = isIP(name) > 0 || name.startsWith('[');
  const isLocal = !name.includes('.') || name.endsWith('.localhost');
  return isAddress || isLocal || names.has(name);
}

function isCrossSite({ headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
