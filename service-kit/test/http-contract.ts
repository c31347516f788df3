import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { HttpService, HttpServiceOptions } from '../src/http-service.ts';
import { createLogger } from '../src/logger.ts';
import { strictSerializerCompiler } from '../src/serialization.ts';

export interface HttpContract {
  build: (options: Pick<HttpServiceOptions, 'log' | 'serializerCompiler'>) => Promise<HttpService>;
  title: string;
  /** The path that lists on GET and creates on POST. */
  collection: string;
  /** Other paths that it documents. Default: none. */
  otherPaths?: string[];
  /** A body that POST accepts, as JSON text. */
  valid: string;
  /** Names of the fields that a body must have. */
  required: string[];
}

interface Documented {
  schema: { $ref: string };
  example?: object;
}

interface DocumentedOperation {
  requestBody?: DocumentedAnswer;
  responses: Record<string, DocumentedAnswer>;
}

interface DocumentedAnswer {
  description: string;
  content: Record<string, Documented>;
}

/** A service for tests: without a log, and with strict checks of its answers. */
export function buildForTest(build: HttpContract['build']): Promise<HttpService> {
  const log = createLogger({ name: 'test', level: 'silent' });
  return build({ log, serializerCompiler: strictSerializerCompiler });
}

/** The format of the APIs' identifiers. */
export const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The format of the APIs' times: UTC, at least milliseconds. */
export const UTC_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z$/;

/** Posts a value as JSON, or JSON text as it is. */
export function postJson(
  app: HttpService,
  url: string,
  body: object | string,
  headers: Record<string, string> = {},
) {
  return app.inject({
    method: 'POST',
    url,
    payload: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
}

/** A gateway that strips a path prefix and forwards the request; it ends with the test. */
export async function startGateway(prefix: string, service: string): Promise<string> {
  const gateway = createServer(async (request, response) => {
    const path = request.url?.startsWith(`${prefix}/`) && request.url.slice(prefix.length);
    if (!path) return response.writeHead(404).end();
    const { method = 'GET', headers } = request;
    const { accept = '*/*' } = headers;
    const init: RequestInit = { method, headers: { accept }, redirect: 'manual' };
    const answer = await fetch(`${service}${path}`, init);
    const { 'content-encoding': _, ...kept } = Object.fromEntries(answer.headers);
    response.writeHead(answer.status, kept).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void gateway.close().closeAllConnections());
  return `http://127.0.0.1:${(gateway.address() as AddressInfo).port}${prefix}`;
}

/** What both APIs have in common on the wire, whatever they store. */
export function describeHttpContract(contract: HttpContract): void {
  const { title, collection, otherPaths = [], valid, required } = contract;
  let app: HttpService;
  beforeEach(async () => {
    app = await buildForTest(contract.build);
  });
  afterEach(() => app.close());

  const post = (payload: string | Buffer, contentType: string | undefined = 'application/json') =>
    app.inject({
      method: 'POST',
      url: collection,
      payload,
      headers: contentType === undefined ? {} : { 'content-type': contentType },
    });

  describe('a body', () => {
    it.each([
      'application/json',
      'application/json; charset=utf-8',
      'Application/JSON',
      'application/vnd.api+json',
      'application/merge-patch+json;charset=utf-8',
      'application/json ; Charset="UTF-8"',
      'application/json;',
    ])('is read as JSON when it comes as %s', async (contentType) => {
      expect((await post(valid, contentType)).statusCode).toBe(201);
    });

    it('is read as JSON when it has no content type', async () => {
      const response = await app.inject({
        method: 'POST',
        url: collection,
        payload: Buffer.from(valid),
      });
      expect(response.raw.req.headers['content-type']).toBeUndefined();
      expect(response.statusCode).toBe(201);
    });

    it('is read as JSON when its content type is empty', async () => {
      const headers = { 'content-type': '' };
      const response = await app.inject({
        method: 'POST',
        url: collection,
        payload: valid,
        headers,
      });
      expect(response.statusCode).toBe(201);
    });

    it.each([
      'text/plain',
      'text/html',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      'text/json',
    ])('is a 415 when it comes as %s', async (contentType) => {
      const response = await post(valid, contentType);
      expect(response.statusCode).toBe(415);
      expect(response.json()).toEqual({ detail: expect.any(String) });
    });

    it('is taken up to 1 MiB and is a 413 above', async () => {
      const padded = (size: number) => valid.padEnd(size, ' ');
      expect((await post(padded(1_048_576))).statusCode).toBe(201);
      const tooLarge = await post(padded(1_048_577));
      expect(tooLarge.statusCode).toBe(413);
      expect(tooLarge.json()).toEqual({ detail: expect.any(String) });
    });

    it('is a 413 for a client that goes on sending, and the connection stays open', async () => {
      const url = await app.listen({ host: '127.0.0.1', port: 0 });
      for (let i = 0; i < 5; i++) {
        const response = await fetch(`${url}${collection}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: Buffer.alloc(5_000_000, 'a'),
        });
        expect(response.status).toBe(413);
        expect(response.headers.get('connection')).not.toBe('close');
        await response.text();
      }
    });

    it('is a 400 when it is not UTF-8', async () => {
      const response = await post(Buffer.concat([Buffer.from(valid), Buffer.from([0xff])]));
      expect(response.statusCode).toBe(400);
      expect(response.json()).toEqual({ detail: expect.any(String) });
    });

    it('may begin with a byte order mark', async () => {
      expect((await post(`\ufeff${valid}`)).statusCode).toBe(201);
    });

    it.each(['', 'null'])('is missing when it is %j', async (body) => {
      const response = await post(body);
      expect(response.statusCode).toBe(422);
      expect(response.json()).toEqual({
        detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }],
      });
    });

    it('is missing when the request has none at all', async () => {
      const response = await app.inject({ method: 'POST', url: collection });
      expect(response.statusCode).toBe(422);
      expect(response.json()).toEqual({
        detail: [{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }],
      });
    });

    it.each(['[]', '"text"', '7', 'true', '[{}]'])('is refused when it is %s', async (body) => {
      const response = await post(body);
      expect(response.statusCode).toBe(422);
      expect(response.json()).toEqual({
        detail: [
          {
            type: 'model_attributes_type',
            loc: ['body'],
            msg: 'Input should be a valid dictionary or object to extract fields from',
            input: JSON.parse(body),
          },
        ],
      });
    });

    it.each([
      ['nope', 0],
      ['{"a":1,', 7],
      ['{"🎁":1,"b":nope}', 11],
      ['{"a":1}//', 7],
      ['   ', 3],
      ['{"a":1} x', 8],
      ["{'a':1}", 1],
      ['{"a":\u0001}', 5],
      // As Python's json reports it.
      ['{"é":"bcd\\x"}', 9],
      ['{"a":"\\u00zz"}', 7],
      ['{"a":"\\u00e9', 7],
      ['{"a":"b\u0001"}', 7],
      ['{"a":"never ends', 5],
      ['{"a":"never ends\\', 5],
      ['{"a":1.}', 6],
      ['[1,2.5e]', 6],
      ['[truefalse]', 5],
      ['[01]', 2],
      ['[-]', 1],
      ['[1,]', 3],
      ['{"a":1,}', 7],
      ['{"a" 1}', 5],
      ['{,}', 1],
      ['[1}', 2],
      ['[[]', 3],
      ['[[],{}]]', 7],
    ])('is broken JSON when it is %j, with the position', async (body, position) => {
      const response = await post(body);
      expect(response.statusCode).toBe(422);
      expect(response.json()).toEqual({
        detail: [
          { type: 'json_invalid', loc: ['body', position], msg: 'JSON decode error', input: {} },
        ],
      });
    });

    it('is answered however deep it nests', async () => {
      const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
      const deepest = await post(nested(1_000));
      expect(deepest.statusCode).toBe(422);
      expect(deepest.body).toContain(`"input":${nested(1_000)}`);
      // Like the original, which supports about 990 levels.
      const [field] = required;
      for (const body of [nested(400_000), '['.repeat(400_000), `{"${field}":${nested(1_000)}}`]) {
        const response = await post(body);
        expect(response.statusCode).toBe(400);
        expect(response.json()).toEqual({ detail: 'There was an error parsing the body' });
      }
    });

    it('is shown with all digits of its numbers', async () => {
      const digits = '12345678901234567890';
      const whole = await post(digits);
      expect(whole.statusCode).toBe(422);
      expect(whole.body).toContain('"type":"model_attributes_type"');
      expect(whole.body).toContain(`"input":${digits}`);
      const [field] = required;
      const wrong = await post(`{"${field}":${digits},"id":${digits}}`);
      expect(wrong.statusCode).toBe(422);
      expect(wrong.body).toContain(`"input":${digits}`);
    });

    it('reports every missing field, in the order of the model, with the body as input', async () => {
      const response = await post('{"other":1}');
      expect(response.statusCode).toBe(422);
      expect(response.json()).toEqual({
        detail: required.map((field) => ({
          type: 'missing',
          loc: ['body', field],
          msg: 'Field required',
          input: { other: 1 },
        })),
      });
    });

    it('does not get fields from a __proto__ in it', async () => {
      const response = await post(`{"__proto__":${valid},"constructor":{"prototype":${valid}}}`);
      expect(response.statusCode).toBe(422);
      expect(response.json().detail.map(({ type }: { type: string }) => type)).toEqual(
        required.map(() => 'missing'),
      );
    });

    it('may have fields that mean nothing, which are not stored', async () => {
      const body = {
        ...JSON.parse(valid),
        id: 'x',
        request_id: 'x',
        status: 'shipped',
        created_at: 'x',
        other: { a: [1] },
        '\ud800': '\ud800',
      };
      const response = await post(JSON.stringify(body));
      expect(response.statusCode).toBe(201);
      expect(response.json()).not.toMatchObject({ other: expect.anything() });
      expect(Object.values(response.json())).not.toContain('x');
      expect(response.json().status).not.toBe('shipped');
    });
  });

  describe('a path', () => {
    it.each(['/nope', '/%zz', `/${collection}`, `${collection}/x`, collection.toUpperCase()])(
      'that does not exist is a 404: %s',
      async (url) => {
        for (const method of ['GET', 'POST', 'DELETE'] as const) {
          const response = await app.inject({
            method,
            url,
            payload: '{',
            headers: { 'content-type': 'text/x' },
          });
          expect(response.statusCode).toBe(404);
          expect(response.json()).toEqual({ detail: 'Not Found' });
        }
      },
    );

    it('that does not exist below the documentation is a 404, too', async () => {
      const response = await app.inject({ url: '/docs/static/nope.js' });
      expect(response.statusCode).toBe(404);
      expect(response.json()).toEqual({ detail: 'Not Found' });
    });

    it.each([
      ['PUT', collection, 'GET, HEAD, POST'],
      ['PATCH', collection, 'GET, HEAD, POST'],
      ['DELETE', `${collection}/?x=1`, 'GET, HEAD, POST'],
      ['OPTIONS', collection, 'GET, HEAD, POST'],
      ['POST', '/', 'GET, HEAD'],
      ['POST', '/docs', 'GET, HEAD'],
      ['DELETE', '/openapi.json', 'GET, HEAD'],
      ['PUT', '/metrics', 'GET, HEAD'],
    ] as const)('answers %s %s with 405 and every method it has', async (method, url, allow) => {
      const response = await app.inject({
        method,
        url,
        payload: 'x',
        headers: { 'content-type': 'text/x' },
      });
      expect(response.statusCode).toBe(405);
      expect(response.json()).toEqual({ detail: 'Method Not Allowed' });
      expect(response.headers.allow).toBe(allow);
    });

    it.each(['/', collection, '/docs', '/openapi.json', '/healthz', '/readyz', '/metrics'])(
      'answers HEAD like GET without the body: %s',
      async (url) => {
        const get = await app.inject({ url });
        const head = await app.inject({ method: 'HEAD', url });
        expect(head.statusCode).toBe(200);
        expect(head.headers['content-type']).toBe(get.headers['content-type']);
        expect(head.body).toBe('');
      },
    );

    it('may end in a slash, without a redirect', async () => {
      expect((await app.inject({ url: `${collection}/` })).statusCode).toBe(200);
      const created = await app.inject({
        method: 'POST',
        url: `${collection}/`,
        payload: JSON.parse(valid),
      });
      expect(created.statusCode).toBe(201);
    });

    it('may have a query that means nothing', async () => {
      expect((await app.inject({ url: `${collection}?page=x&a[]=1` })).statusCode).toBe(200);
      expect((await app.inject({ url: '/?x=%zz' })).statusCode).toBe(200);
    });
  });

  describe('the list', () => {
    const get = (ifNoneMatch?: string) =>
      app.inject({
        url: collection,
        headers: ifNoneMatch === undefined ? {} : { 'if-none-match': ifNoneMatch },
      });

    it('has a strong entity tag, and is a 304 without a body for who has that', async () => {
      const empty = await get();
      await post(valid);
      const list = await get(String(empty.headers.etag));
      expect([empty.statusCode, empty.body, list.statusCode]).toEqual([200, '[]', 200]);
      const { etag } = list.headers;
      expect(etag).toMatch(/^"[\x21\x23-\x7e]+"$/);
      for (const header of [`${etag}`, `"x", ${etag}`, `W/${etag}`, '*']) {
        const again = await get(header);
        expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', etag]);
      }
      const headers304 = { 'if-none-match': String(etag) };
      const head = await app.inject({ method: 'HEAD', url: collection, headers: headers304 });
      // RFC 9110, section 8.6: the length of a 304 would be that of the list.
      expect([head.statusCode, head.headers['content-length']]).toEqual([304, undefined]);
      expect((await get('"x"')).body).toBe(list.body);
      // As `fetch` sends it.
      const headers = { 'if-none-match': String(etag), 'cache-control': 'no-cache' };
      expect((await app.inject({ url: collection, headers })).statusCode).toBe(304);
    });

    it('has other tags after a restart, however many it has', async () => {
      const restarted = await buildForTest(contract.build);
      const { etag } = (await restarted.inject({ url: collection })).headers;
      await restarted.close();
      expect((await get(String(etag))).statusCode).toBe(200);
    });

    it('says how long it is, also when it is long', async () => {
      await post(valid);
      const list = await get();
      expect(Number(list.headers['content-length'])).toBe(Buffer.byteLength(list.body));
    });
  });

  it.each([
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'text/html, application/json;q=0.9',
    'application/json;q=0.5, TEXT/HTML; q=0.51',
    'text/*, */*;q=0.1',
  ])('sends a browser to the documentation: %s', async (accept) => {
    const service = await app.listen({ host: '127.0.0.1', port: 0 });
    const gateway = await startGateway('/some/prefix', service);
    for (const base of [service, gateway]) {
      const redirect = await fetch(`${base}/`, { headers: { accept }, redirect: 'manual' });
      expect([redirect.status, redirect.headers.get('vary')]).toEqual([302, 'Accept']);
      const page = await fetch(`${base}/`, { headers: { accept } });
      expect([page.url, page.status]).toEqual([`${base}/docs`, 200]);
      expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    }
  });

  it.each([
    undefined,
    '',
    '*/*',
    'application/json',
    'application/json, text/plain, */*',
    'text/html, application/json',
    'text/html;q=0.5, application/json',
    'text/html;q=0, */*;q=0',
    'application/*, text/html;q=0.9',
    'text/html;q=x',
  ])('greets everyone else: %s', async (accept) => {
    const headers = accept === undefined ? {} : { accept };
    const response = await app.inject({ url: '/', headers });
    expect([response.statusCode, response.headers.vary]).toEqual([200, 'Accept']);
    expect(response.json()).toEqual({ message: `Welcome to the ${title}` });
  });

  it('answers compact JSON in raw UTF-8', async () => {
    const response = await app.inject({ url: '/' });
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toMatch(/^application\/json(; charset=utf-8)?$/);
    expect(response.body).toBe(`{"message":"Welcome to the ${title}"}`);
  });

  describe('the documentation', () => {
    it('is a valid OpenAPI 3.1 document with the title and version of the original', async () => {
      const response = await app.inject({ url: '/openapi.json' });
      expect(response.headers['content-type']).toMatch(/^application\/json/);
      const document = response.json();
      expect(document.openapi).toMatch(/^3\.1\./);
      expect(document.info).toMatchObject({ title, version: '1.0.0' });
      const result = await new Validator().validate(document);
      expect(result.errors).toBeUndefined();
      expect(result.valid).toBe(true);
    });

    it('names every route, each with its answers to errors', async () => {
      const { paths, components } = (await app.inject({ url: '/openapi.json' })).json();
      expect(Object.keys(paths).sort()).toEqual(
        ['/', '/healthz', '/metrics', '/readyz', collection, ...otherPaths].sort(),
      );
      expect(Object.keys(paths[collection]).sort()).toEqual(['get', 'post']);
      for (const operation of Object.values(paths).flatMap((path) =>
        Object.values(path as object),
      )) {
        expect(operation.operationId).toBeTruthy();
        expect(operation.summary).toBeTruthy();
        expect(Object.keys(operation.responses)).toEqual(
          expect.arrayContaining(
            operation.responses['201'] || operation.responses['204'] ? ['500'] : ['200', '500'],
          ),
        );
        for (const [status, answer] of Object.entries<DocumentedAnswer>(operation.responses)) {
          expect(answer.description).toMatch(/\.$/);
          if (Number(status) < 400) continue;
          const { schema, example } = Object.values(answer.content)[0] as Documented;
          const [, name] = /^#\/components\/schemas\/(\w+)$/.exec(schema.$ref) ?? [];
          expect(example ?? components.schemas[name as string].examples[0]).toHaveProperty(
            'detail',
          );
        }
      }
      expect(Object.keys(paths[collection].post.responses)).toEqual(
        expect.arrayContaining(['201', '400', '413', '415', '422', '500']),
      );
    });

    it('describes every field with an example and keeps each shared schema once', async () => {
      const document = (await app.inject({ url: '/openapi.json' })).json();
      const { schemas } = document.components;
      const bodies = Object.values<Record<string, DocumentedOperation>>(document.paths)
        .flatMap((path) => Object.values(path))
        .flatMap(({ requestBody, responses }) => [requestBody, responses['200'], responses['201']])
        .flatMap((body) => body?.content?.['application/json']?.schema.$ref ?? []);
      for (const name of new Set(bodies.map((ref) => ref.split('/').at(-1) as string))) {
        const schema = schemas[name];
        // Health, and the message of the root.
        if (!schema.properties.name && !schema.properties.customer_id) continue;
        for (const field of Object.values<{ description: string; examples: unknown[] }>(
          schema.properties,
        )) {
          expect(field.description).toBeTruthy();
          expect(field.examples.length).toBeGreaterThan(0);
        }
      }
      for (const keyword of ['"pattern"', '"additionalProperties"', '9007199254740991']) {
        expect(JSON.stringify(schemas)).not.toContain(keyword);
      }
      for (const schema of Object.values<object>(schemas)) expect(schema).not.toHaveProperty('id');
      const texts = Object.values(schemas).map((schema) => JSON.stringify(schema));
      expect(new Set(texts).size).toBe(texts.length);
      expect(Object.keys(schemas).filter((name) => name.endsWith('Input'))).toEqual([]);
      for (const name of Object.keys(schemas)) {
        expect(JSON.stringify([document.paths, document.webhooks])).toContain(
          `"#/components/schemas/${name}"`,
        );
      }
    });

    it('gives an example body that the service takes', async () => {
      const { components, paths } = (await app.inject({ url: '/openapi.json' })).json();
      const { $ref } = paths[collection].post.requestBody.content['application/json'].schema;
      const [example] = components.schemas[$ref.split('/').at(-1)].examples;
      expect((await post(JSON.stringify(example))).statusCode).toBe(201);
    });

    it('is shown by a Swagger UI that loads everything from the service itself', async () => {
      const page = await app.inject({ url: '/docs' });
      expect(page.statusCode).toBe(200);
      expect(page.headers['content-type']).toMatch(/^text\/html/);
      expect(page.body).toContain(`<title>${title}</title>`);
      const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(
        ([, url]) => url as string,
      );
      expect(assets.length).toBeGreaterThanOrEqual(5);
      for (const url of [...assets, './docs/json', './openapi.json']) {
        expect(url).toMatch(/^\.\//);
        expect((await app.inject({ url: url.slice(1) })).statusCode).toBe(200);
      }
      expect((await app.inject({ url: '/docs/static/swagger-initializer.js' })).body).toContain(
        'validatorUrl: null',
      );
    });

    it('fits the screen of a phone', async () => {
      expect((await app.inject({ url: '/docs' })).body).toMatch(
        /<meta name="viewport" content="width=device-width, initial-scale=1">/,
      );
    });

    it('works under a path prefix that a gateway strips', async () => {
      const service = await app.listen({ host: '127.0.0.1', port: 0 });
      const gateway = await startGateway('/some/prefix', service);
      for (const path of ['/docs', '/docs/', '/docs/static/index.html']) {
        const page = await fetch(`${gateway}${path}`);
        const assets = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)];
        expect(assets.length).toBeGreaterThanOrEqual(5);
        for (const [, url] of assets) {
          const asset = await fetch(new URL(url as string, page.url), { method: 'HEAD' });
          expect([asset.url, asset.status]).toEqual([expect.any(String), 200]);
        }
      }
      for (const path of ['/openapi.json', '/docs/json']) {
        const document = await fetch(`${gateway}${path}`);
        const { servers } = (await document.json()) as { servers: [{ url: string }] };
        expect(new URL(servers[0].url, document.url).href).toBe(`${gateway}/`);
      }
    });
  });
}
