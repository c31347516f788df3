import type { FastifyInstance } from 'fastify';
import { HttpError } from './errors.ts';

/** A name or address with an optional port (RFC 3986, section 3.2). May be empty. */
const AUTHORITY = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/i;

/**
 * Answers 400 to a request without one clear host: two `Host` headers, an invalid one, or none in HTTP/1.1
 * (RFC 9112, section 3.2). Of two headers, a proxy might have used the other one.
 */
export function requireOneHost(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw }, _reply, done) => {
    const hosts = raw.rawHeaders.filter(
      (name, i) => i % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host',
    ).length;
    if (hosts === 0 && raw.httpVersion === '1.1') {
      done(new HttpError(400, 'The Host header is missing.'));
    } else if (hosts > 1) {
      done(new HttpError(400, 'There is more than one Host header.'));
    } else if (!AUTHORITY.test(raw.headers.host ?? '')) {
      done(new HttpError(400, 'The Host header is neither a host name nor an address.'));
    } else done();
  });
}
