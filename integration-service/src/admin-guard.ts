import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { errorAnswer } from 'service-kit/answers';
import { group, hostNamesSchema } from 'service-kit/environment';
import { z } from 'zod';

export const adminEnvironment = group('Routes', {
  // Every client can send these characters in a header.
  ADMIN_TOKEN: z
    .string()
    .regex(
      /^[!-~]{8,}$/,
      'must have 8 or more characters, all of them printable ASCII and no blank',
    )
    .optional()
    .describe('The bearer token that these routes ask for. Without it, they ask for none.')
    .meta({ example: 'change-me-please', secret: true }),
  ALLOWED_HOSTS: hostNamesSchema
    .optional()
    .describe('Without a token, host names with a dot by which these routes may be called.')
    .meta({ example: 'deliveries.example.com' }),
});

const FOREIGN_PAGE = 'Pages of other sites may not use this service.';
const FOREIGN_NAME =
  'The Host of the request is no name of this service: use localhost or an address, put the name into ALLOWED_HOSTS, or set an ADMIN_TOKEN.';

/** The answers of a route behind the guard to requests that the guard refuses. */
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
  /** If set, only requests with this token pass. If not, all pass except those from pages of other sites. */
  adminToken?: string | undefined;
  /** The host that the service listens on. */
  host: string;
  /** More host names of this service with a dot, in lower case; only used without a token. Default: none. */
  allowedHosts?: readonly string[] | undefined;
}

export type AdminGuard = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/**
 * An `onRequest` hook for protected routes. With a token, only the token counts, whatever the host name or
 * proxy of a request: a page of another site does not know the token, and its browser would need this
 * service's permission to send it (CORS), which the service never gives.
 *
 * Without a token, the hook refuses pages of other sites that use a browser in our network: both their own
 * requests (by `Sec-Fetch-Site`, and by `Origin`) and requests to a host name of theirs that points to this
 * service (by `Host`), which is how DNS rebinding becomes same-origin.
 */
export function createAdminGuard(options: AdminGuardOptions): AdminGuard {
  const { adminToken: token, host, allowedHosts = [] } = options;
  const names = new Set([host.toLowerCase(), ...allowedHosts]);
  const expected = token === undefined ? undefined : digest(token);

  return async (request, reply) => {
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
  // The digests have equal lengths, whatever was sent, and the time of the comparison reveals nothing.
  return timingSafeEqual(digest(given), expected);
}

/** Whether a host is an address, a name no outsider can own (no dot, or under `localhost`), or in `names`. */
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
