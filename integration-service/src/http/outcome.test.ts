import { describe, expect, it } from 'vitest';
import { AbortedError } from '../delivery/outcome.ts';
import { createInventoryClient } from '../systems/inventory/client.ts';
import { PACKAGE_TYPE, welcomePackageFor } from '../welcome-package/item.ts';
import { CallError, type HttpClient, type HttpResponse } from './client.ts';
import { outcomeOfFailure, outcomeOfResponse } from './outcome.ts';

const NOW = Date.parse('2026-11-06T08:49:37Z');
const ID = 'c3e8e5a6-3d7c-4c6c-8f3e-4d4b1a1b1a1a';
const REQUEST = { customer_id: ID, package_type: 'welcome_package', request_id: 'r7' };
const LONG = JSON.rawJSON('90071992547409931234');
const DEEP = '['.repeat(2_000) + ']'.repeat(2_000);

function outcomeOf(response: Partial<Omit<HttpResponse, 'body'>> & { body?: string }) {
  const { status = 200, headers = {}, body = '' } = response;
  const findTargetId = (value: unknown) => (value === 'mine' ? 'r7' : undefined);
  return outcomeOfResponse({ status, headers, body: Buffer.from(body) }, findTargetId, NOW);
}

describe('a status', () => {
  const kinds: Record<string, number[]> = {
    delivered: [200, 201],
    unauthorized: [401, 403, 407],
    throttled: [429],
    transient: [408, 425, 503],
  };
  const kindOf = (status: number) =>
    Object.keys(kinds).find((kind) => kinds[kind]?.includes(status)) ??
    (status >= 400 && status < 500 ? 'permanent' : 'unknown');

  it.each(Array.from({ length: 400 }, (_, i) => 200 + i))(
    '%d says what an attempt came to',
    (status) => {
      const expected = { kind: kindOf(status), statusCode: status };
      expect(outcomeOf({ status, body: '"mine"' })).toMatchObject(expected);
    },
  );

  it.each([
    [503, 'throttled'],
    [429, 'throttled'],
    [409, 'transient'],
    [502, 'unknown'],
  ])('%d is %s, and may say when to come back', (status, kind) => {
    const response = { status, headers: { 'retry-after': '7' }, body: 'in flight' };
    expect(outcomeOf(response)).toMatchObject({ kind, retryAfterMs: 7_000 });
  });

  it('comes with the reason that the target gives', () => {
    expect(outcomeOf({ status: 422, body: '{"detail": "no\n such customer"}' })).toMatchObject({
      reason: '422 Unprocessable Entity: {"detail": "no such customer"}',
    });
    expect(outcomeOf({ status: 307, headers: { location: '/login' } })).toMatchObject({
      reason: '307 Temporary Redirect to /login, and redirects are not followed',
    });
  });
});

it('is not delivered when the answer is no JSON, whatever it says', () => {
  expect(outcomeOf({ body: 'mine' })).toMatchObject({ kind: 'unknown' });
});

describe('a 409', () => {
  it.each([
    'A request is outstanding for this Idempotency-Key',
    '{"detail": "The original request is still in flight."}',
    'ANOTHER IN-PROGRESS REQUEST USES THIS KEY',
    'The request with this key is being processed.',
    'Concurrent requests with the same key',
    `${' '.repeat(1_900)}in flight`,
  ])('that speaks of a twin under way is tried again: %s', (body) => {
    expect(outcomeOf({ status: 409, body })).toMatchObject({ kind: 'transient' });
    expect(outcomeOf({ status: 422, body })).toMatchObject({ kind: 'permanent' });
  });

  it.each(['', 'the flight is full'])('that says anything else is for good: %j', (body) => {
    expect(outcomeOf({ status: 409, body })).toMatchObject({ kind: 'permanent' });
  });
});

describe.each([400, 409, 422])('a %d', (status) => {
  it.each([
    ['Django REST', '{"customer_id":["package request with this customer id already exists."]}'],
    ['Django REST', '{"non_field_errors":["The fields a, b must make a unique set."]}'],
    ['Rails and Laravel', '{"errors":{"customer_id":["has already been taken"]}}'],
    ['GitHub', '{"errors":[{"resource":"Package","code":"already_exists"}]}'],
    ['gRPC', '{"error":{"code":409,"status":"ALREADY_EXISTS"}}'],
    ['Kubernetes', '{"reason":"AlreadyExists"}'],
    ['Salesforce', '[{"errorCode":"DUPLICATE_VALUE","message":"value found on record 7"}]'],
    ['PostgREST', '{"code":"23505","details":null,"message":null}'],
    ['MySQL', "Duplicate entry 'a' for key 'requests.customer_id'"],
    ['SQLite', 'UNIQUE constraint failed: requests.customer_id'],
    ['MongoDB', 'E11000 dup key: { customer_id: 1 }'],
    ['Prisma', '{"code":"P2002"}'],
    ['a plain server', 'Conflict'],
    ['another', 'Such a request exists.'],
  ])('that says that it exists already is looked up at the target: %s', (_, body) => {
    expect(outcomeOf({ status, body })).toMatchObject({ kind: 'unknown', saysItExists: true });
    expect(outcomeOf({ status: 404, body })).toMatchObject({ kind: 'permanent' });
  });

  it.each(['{"detail":"customer_id does not exist"}', "It doesn't exist.", 'no', '{"id":235051}'])(
    'that says anything else is for good: %s',
    (body) => {
      expect(outcomeOf({ status, body })).toMatchObject({ kind: 'permanent' });
    },
  );
});

it.each(['location', 'body'])('an answer with a %s of a megabyte makes a short reason', (part) => {
  const long = 'x'.repeat(1_000_000);
  const outcome =
    part === 'body'
      ? outcomeOf({ status: 422, body: long })
      : outcomeOf({ status: 302, headers: { location: long } });
  expect('reason' in outcome && outcome.reason.length).toBeLessThan(300);
});

// These go through the inventory's client, which knows what a package request is.
describe.each([200, 201])('a %d to a request for a welcome package', (status) => {
  async function send(body: Buffer | string) {
    const response: HttpResponse = { status, headers: {}, body: Buffer.from(body) };
    const inventory = createInventoryClient({
      http: { send: async () => response } as Partial<HttpClient> as HttpClient,
      url: new URL('http://inventory.test/package-requests'),
      packageType: PACKAGE_TYPE,
      maxResponseBytes: 1_000,
      now: () => NOW,
    });
    const { key, payload } = welcomePackageFor(ID);
    const request = { body: payload, idempotencyKey: 'a-key', customerId: key };
    return inventory.request(request, { signal: AbortSignal.any([]), onSend() {} });
  }

  it.each<[string, object, string]>([
    ['with all fields', { ...REQUEST, status: 'pending', more: [null] }, 'r7'],
    ['with the id in upper case', { ...REQUEST, customer_id: ID.toUpperCase() }, 'r7'],
    ['without a package type', { customer_id: ID, request_id: 'r7' }, 'r7'],
    ['with a number as its id', { ...REQUEST, request_id: 7 }, '7'],
    ['with 0 as its id', { ...REQUEST, request_id: 0 }, '0'],
    ['with a longer number', { ...REQUEST, request_id: LONG }, '90071992547409931234'],
    ['with a huge id', { ...REQUEST, request_id: 'r'.repeat(9e5) }, `${'r'.repeat(200)}…`],
  ])('is delivered: a package request %s', async (_, body, targetId) => {
    const expected = { kind: 'delivered', targetId, statusCode: status };
    for (const mark of ['', '\ufeff']) {
      expect(await send(mark + JSON.stringify(body))).toEqual(expected);
    }
  });

  const { request_id, customer_id, ...rest } = REQUEST;
  const text = JSON.stringify(REQUEST);
  it.each<[string, Buffer | string]>([
    ['another customer', JSON.stringify({ ...REQUEST, customer_id: ID.replace('c', 'd') })],
    ['no customer', JSON.stringify({ ...rest, request_id })],
    ['no request id', JSON.stringify({ ...rest, customer_id })],
    ['an empty request id', JSON.stringify({ ...REQUEST, request_id: '' })],
    ['another package', JSON.stringify({ ...REQUEST, package_type: 'farewell' })],
    ['HTML', '<!doctype html><title>Log in</title>'],
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '7'],
    ['a list', `[${text}]`],
    ['an object around it', `{"data": ${text}}`],
    ['half of it', text.slice(0, -1)],
    ['an object with more levels than are read', `${text.slice(0, -1)},"a":${DEEP}}`],
    ['a customer id of broken UTF-8', Buffer.from(text.replace('c3e8', '\xff'), 'latin1')],
    ['UTF-16', Buffer.from(text, 'utf16le')],
  ])('is unknown, and so settled: %s', async (_, body) => {
    const outcome = await send(body);
    expect(outcome).toMatchObject({ kind: 'unknown', statusCode: status });
    expect(outcome).toHaveProperty(
      'reason',
      expect.stringContaining('not the answer of the target'),
    );
  });
});

it.each([
  ['before it was sent', { isSent: false }, { kind: 'transient' }],
  ['after it was sent', { isSent: true }, { kind: 'unknown' }],
  ['in the body of a 201', { isSent: true, status: 201 }, { kind: 'unknown', statusCode: 201 }],
  ['in the body of a 422', { isSent: true, status: 422 }, { kind: 'unknown', statusCode: 422 }],
  ['by us', { isSent: false, cause: new AbortedError('x') }, { kind: 'aborted' }],
  ['by another error', { isSent: false, cause: new Error('x') }, { kind: 'transient' }],
])('a call that failed %s', (_, how, expected) => {
  const error = new CallError('why', { status: undefined, ...how });
  expect(outcomeOfFailure(error)).toEqual({ ...expected, reason: 'why' });
});
