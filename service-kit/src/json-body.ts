import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';
import { decodeJson, JsonError, parseForeignJson } from './foreign-json.ts';
import { jsonErrorOffset } from './json-error.ts';
import { InvalidRequestError } from './validation.ts';

const JSON_TYPE = /^application\/(?:[\w!#$&^.+-]+\+)?json$/;

/**
 * Reads request bodies as JSON: `application/json`, `application/*+json`, or no content type at all. Any
 * other type is a 415; invalid UTF-8 or too deep nesting a 400; broken JSON a 422. An empty body becomes
 * `null`.
 */
export function acceptJsonBodies(app: FastifyInstance): void {
  // Synchronous hooks and parsers take a callback: a promise costs each request a microsecond.
  app.addHook('onRequest', ({ headers }, _reply, done) => {
    // Fastify treats an empty header as an unknown type.
    if (!headers['content-type']?.trim()) delete headers['content-type'];
    done();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    try {
      checkType(request);
      done(null, parseJson(body));
    } catch (error) {
      done(error as Error);
    }
  });
}

function checkType({ headers }: FastifyRequest): void {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (!type || JSON_TYPE.test(type)) return;
  throw new HttpError(415, `Content type '${type}' is not supported: send application/json.`);
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return null;
  try {
    return parseForeignJson(body);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    if (error.flaw === 'encoding') throw new HttpError(400, 'The body is not valid UTF-8.');
    if (error.flaw === 'depth') throw new HttpError(400, 'There was an error parsing the body');
    const text = decodeJson(body);
    // In characters, as Python counts.
    const position = [...text.slice(0, jsonErrorOffset(text))].length;
    const loc = ['body', position];
    throw new InvalidRequestError([
      { type: 'json_invalid', loc, msg: 'JSON decode error', input: {} },
    ]);
  }
}
