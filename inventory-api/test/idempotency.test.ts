import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { HttpService } from 'service-kit/http-service';
import { createLogger } from 'service-kit/logger';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildApp } from '../src/app.ts';

const CUSTOMER_ID = 'c3e8e5a6-3d7c-0c6c-0f3e-4d4b1a1b1a1a';
const KEY = `welcome-package/${CUSTOMER_ID}`;
const BODY = { customer_id: CUSTOMER_ID };
const OTHER_BODY = { customer_id: '00000000-0000-0000-0000-000000000000' };

const log = createLogger({ name: 'test', level: 'silent' });
const info = vi.spyOn(log, 'info');

let app: HttpService;
beforeEach(async () => {
  info.mockClear();
  app = await buildApp({ log, serializerCompiler: strictSerializerCompiler });
});
afterEach(() => app.close());

/** Posts a value as JSON, or text as it is; several keys become several header lines. */
function post(body: object | string, key?: string | string[], to = app) {
  return to.inject({
    method: 'POST',
    url: '/package-requests',
    payload: typeof body === 'string' ? body : JSON.stringify(body),
    headers: {
      'content-type': 'application/json',
      ...(key !== undefined && { 'Idempotency-Key': key }),
    },
  });
}

const list = async () => (await app.inject({ url: '/package-requests' })).json();

async function expectCreated(response: Awaited<ReturnType<typeof post>>) {
  expect(response.statusCode).toBe(201);
  expect(response.headers).not.toHaveProperty('idempotency-replayed');
  expect(await list()).toContainEqual(response.json());
}

async function expectReplay(key: string, first: Awaited<ReturnType<typeof post>>) {
  const again = await post(BODY, key);
  expect(again.statusCode).toBe(201);
  expect(again.headers['idempotency-replayed']).toBe('true');
  expect(again.body).toBe(first.body);
}

async function expectRefused(key: string | string[], detail: RegExp) {
  const response = await post(BODY, key);
  expect(response.statusCode).toBe(400);
  expect(response.json()).toEqual({ detail: expect.stringMatching(detail) });
  expect(response.json().detail).toMatch(/^(The|A) .*\.$/);
  expect(await list()).toEqual([]);
}

describe('the same key and body again', () => {
  it('get the first answer again, marked as such, and have no effect', async () => {
    const first = await post(BODY, KEY);
    await expectCreated(first);
    await post(OTHER_BODY, 'another key');
    for (let i = 0; i < 3; i++) await expectReplay(KEY, first);
    expect(await list()).toHaveLength(2);
    expect(info.mock.calls.filter(([line]) => `${line}`.endsWith(CUSTOMER_ID))).toHaveLength(1);
  });

  it.each([
    { customer_id: CUSTOMER_ID.toUpperCase() },
    { customer_id: `urn:uuid:${CUSTOMER_ID}` },
    { customer_id: CUSTOMER_ID, package_type: 'welcome_package' },
    { package_type: 'welcome_package', customer_id: CUSTOMER_ID, other: 1, status: 'shipped' },
    ` { "customer_id" : "${CUSTOMER_ID}" } `,
    `{"customer_id":"\\u0063${CUSTOMER_ID.slice(1)}"}`,
  ])('are the same by the values of the body, not its bytes: %j', async (body) => {
    const first = await post(BODY, KEY);
    const again = await post(body, KEY);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.body).toBe(first.body);
    expect(await list()).toHaveLength(1);
  });

  it('have one effect when they come at the same moment', async () => {
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const response = await fetch(`${url}/package-requests`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'idempotency-key': i % 2 ? KEY : `"${KEY}"`,
          },
          body: JSON.stringify(BODY),
        });
        const replayed = response.headers.get('idempotency-replayed');
        return { status: response.status, replayed, body: await response.text() };
      }),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(50);
    expect(answers.filter(({ replayed }) => replayed === 'true')).toHaveLength(49);
    expect(answers.filter(({ replayed }) => replayed === null)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(await list()).toHaveLength(1);
  });
});

describe('the same key with another body', () => {
  it.each([
    OTHER_BODY,
    { ...BODY, package_type: 'birthday' },
    { ...BODY, package_type: '' },
    { ...BODY, package_type: 'welcome_package ' },
  ])('is a 422 that says so, and has no effect: %j', async (body) => {
    const first = await post(BODY, KEY);
    const response = await post(body, `"${KEY}"`);
    expect(response.statusCode).toBe(422);
    expect(response.json()).toEqual({
      detail: `The Idempotency-Key '${KEY}' was used for another request.`,
    });
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
    expect(await list()).toEqual([first.json()]);
    await expectReplay(KEY, first);
  });
});

describe('two requests are two requests', () => {
  it('without a key', async () => {
    for (const key of [undefined, undefined, 'undefined', undefined, KEY, undefined]) {
      await expectCreated(await post(BODY, key));
    }
    expect(await list()).toHaveLength(6);
  });

  it('with two keys', async () => {
    for (const key of [KEY, `${KEY}2`, KEY.toUpperCase(), '__proto__', 'undefined']) {
      await expectCreated(await post(BODY, key));
    }
    expect(await list()).toHaveLength(5);
  });
});

describe('a key', () => {
  it.each([
    [KEY, `"${KEY}"`],
    ['with "quotes" and \\', '"with \\"quotes\\" and \\\\"'],
    ['two \\\\', '"two \\\\\\\\"'],
    ['a, b; c=1', '"a, b; c=1"'],
    [' ', '" "'],
    ["!#$%&'()*+-./09:;<=>?@AZ[]^_`az{|}~", '"!#$%&\'()*+-./09:;<=>?@AZ[]^_`az{|}~"'],
  ])('is the same bare and quoted: %s and %s', async (bare, quoted) => {
    const first = await post(BODY, quoted);
    await expectCreated(first);
    await expectReplay(bare, first);
  });

  it('has up to 255 characters, the quotes and escapes not counted', async () => {
    const longest = await post(BODY, 'k'.repeat(255));
    await expectCreated(longest);
    await expectReplay(`"${'k'.repeat(255)}"`, longest);
    await expectCreated(await post(BODY, `"${'\\"'.repeat(255)}"`));
  });

  it.each(['k'.repeat(256), `"${'k'.repeat(256)}"`, `"${'\\"'.repeat(256)}"`])(
    'is refused when it has 256',
    (key) => expectRefused(key, /256 characters.* 255/),
  );

  it.each(['', '""'])('is refused when it is empty: %j', (key) => expectRefused(key, /empty/));

  it.each(['a\tb', '\u007f', 'é', 'ÿ', '名', '"é"', 'a\u0000b'])(
    'is refused when it is not printable ASCII: %j',
    (key) => expectRefused(key, /printable ASCII/),
  );

  it.each([
    '"',
    '"abc',
    '"a"b',
    '"a" ',
    '"a";x=1',
    '"a\\b"',
    '"a\\"',
    '"a\\\\\\"',
    '""""',
    '"a", "b"',
  ])('is refused when it begins with a quote and is no quoted string: %s', (key) =>
    expectRefused(key, /quoted string/),
  );

  it.each([
    ['a', 'b'],
    ['a', 'a'],
    ['"a"', '"b"'],
    ['"a', 'b"'],
    ['', 'a'],
  ])('is refused when there are several: %s and %s', (...keys) =>
    expectRefused(keys, /one Idempotency-Key, not 2/),
  );

  it('is taken from the wire, whatever the case of its name', async () => {
    const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
    const body = JSON.stringify(BODY);
    const send = (lines: string) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.end(
        `POST /package-requests HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${lines}\r\n` +
          `content-length: ${body.length}\r\n\r\n${body}`,
        'latin1',
      );
      return text(socket);
    };
    expect(await send('IDEMPOTENCY-KEY:  a b \t')).toMatch(/^HTTP\/1.1 201 /);
    expect(await send('idempotency-key:"a b"')).toMatch(/\r\nidempotency-replayed: true\r\n/i);
    // The header's name in the value of another header.
    for (let i = 0; i < 2; i++) {
      expect(await send('x-note: idempotency-key')).not.toMatch(/idempotency-replayed/i);
    }
    for (const lines of [
      'Idempotency-Key:',
      'Idempotency-Key: \xe9',
      'Idempotency-Key: a b\r\nidempotency-key: a b',
    ]) {
      const refused = await send(lines);
      expect(refused).toMatch(/^HTTP\/1.1 400 /);
      expect(refused).toMatch(/\{"detail":".*Idempotency-Key.*"\}$/);
    }
    expect(await list()).toHaveLength(3);
  });

  it('lasts as long as its service: another one does not know it', async () => {
    const first = await post(BODY, KEY);
    const other = await buildApp({ log });
    const response = await post(BODY, KEY, other);
    expect(response.headers).not.toHaveProperty('idempotency-replayed');
    expect(response.json().request_id).not.toBe(first.json().request_id);
    await other.close();
  });

  it('means nothing to a list', async () => {
    const headers = { 'idempotency-key': '' };
    expect((await app.inject({ url: '/package-requests', headers })).statusCode).toBe(200);
  });
});

describe('a wrong body', () => {
  it.each(['{', '', '[]', {}, { customer_id: 'nope' }, { ...BODY, package_type: 7 }])(
    'is a 422 with its fields and leaves the key unused: %j',
    async (body) => {
      const refused = await post(body, KEY);
      expect(refused.statusCode).toBe(422);
      expect(refused.json()).toEqual((await post(body)).json());
      expect(refused.json().detail).toBeInstanceOf(Array);
      await expectCreated(await post(BODY, KEY));
    },
  );

  it('is found before a wrong key, and before a key of another request', async () => {
    await post(BODY, KEY);
    for (const key of ['', '"', 'k'.repeat(256), ['a', 'b'], KEY]) {
      const response = await post({ customer_id: 'nope' }, key);
      expect(response.statusCode).toBe(422);
      expect(response.json().detail).toMatchObject([{ loc: ['body', 'customer_id'] }]);
    }
  });
});

it('answers in the same way with the serializer that is used outside tests', async () => {
  const served = await buildApp({ log });
  const first = await post(BODY, KEY, served);
  expect((await post(BODY, KEY, served)).body).toBe(first.body);
  expect((await post(OTHER_BODY, KEY, served)).json()).toEqual({
    detail: `The Idempotency-Key '${KEY}' was used for another request.`,
  });
  expect((await post('{"customer_id":{"a":[1]}}', KEY, served)).json()).toEqual({
    detail: [
      {
        type: 'uuid_type',
        loc: ['body', 'customer_id'],
        msg: 'UUID input should be a string, bytes or UUID object',
        input: { a: [1] },
      },
    ],
  });
  await served.close();
});

it('documents the key, the mark of a replay and the answers', async () => {
  const { components, paths } = (await app.inject({ url: '/openapi.json' })).json();
  const { parameters, responses } = paths['/package-requests'].post;
  expect(parameters).toEqual([
    {
      in: 'header',
      name: 'Idempotency-Key',
      required: false,
      description: expect.stringMatching(/1 to 255 .*\.$/),
      schema: { type: 'string', pattern: expect.any(String) },
    },
  ]);
  const pattern = new RegExp(parameters[0].schema.pattern);
  const max = 'x'.repeat(255);
  const keys = ['a', 'a "b\\', '"a b"', '"\\"\\\\"', '"[~]"', max, `"${max}"`];
  const flawed = ['', '"', '""', '"a', '"a"b', '"\\a"', 'é', 'a\tb', `${max}x`, `"${max}x"`];
  for (const key of [...keys, ...flawed]) {
    expect([key, pattern.test(key)]).toEqual([key, keys.includes(key)]);
    expect([key, (await post(BODY, key)).statusCode === 201]).toEqual([key, keys.includes(key)]);
  }
  expect(responses['201'].headers).toEqual({
    'Idempotency-Replayed': {
      description: expect.stringMatching(/\.$/),
      schema: { type: 'string', const: 'true' },
    },
  });
  expect(responses['400'].description).toContain('Idempotency-Key');
  expect(responses['422'].description).toContain('Idempotency-Key');
  expect(responses['422'].content['application/json'].schema).toEqual({
    anyOf: ['Error', 'ValidationError'].map((name) => ({ $ref: `#/components/schemas/${name}` })),
  });
  for (const name of ['Error', 'ValidationError']) expect(components.schemas).toHaveProperty(name);
});
