import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { SOURCE, temporaryFolder } from './ledgers.ts';
import { setUpService, startHttpServer } from './support.ts';

const CANARY = 'canary/of+ours==';
const QUERY = `api_key=${encodeURIComponent(CANARY)}&limit=2`;
/** Matches all spellings that may occur. */
const HAS_CANARY = /canary(\/|%2F)of/i;

/** All bytes that a ledger left in its folder. */
const bytesIn = (path: string) =>
  readdirSync(dirname(path))
    .map((file) => readFileSync(join(dirname(path), file), 'latin1'))
    .join();

/**
 * A service whose URLs contain a key; the CRM answers as the test says, the inventory refuses everything.
 */
async function setUp(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const crmUrl = await startHttpServer(answer);
  const inventoryUrl = await startHttpServer((request, response) => {
    if (request.method === 'GET') return response.end('[]');
    response.writeHead(422).end(`Refused: ${request.url}`);
  });
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const service = await setUpService({
    ledger: { kind: 'sqlite', path },
    crmUrl: `${crmUrl}/v1/customers?${QUERY}`,
    inventoryUrl: `${inventoryUrl}/package-requests?${QUERY}`,
    maxRetries: 1,
  });
  return { ...service, path };
}

it.each([
  ['as it is configured', QUERY],
  ['as another library writes it', `limit=2&api_key=${CANARY.replace('+', '%2B')}`],
])(
  'a position that repeats the key of the URL, %s, is kept without it and used with it',
  async (_, query) => {
    const asked: string[] = [];
    const { poller, path, ledger, messages } = await setUp((request, response) => {
      asked.push(request.url ?? '');
      const isSecond = request.url?.includes('after=b');
      response
        .writeHead(200, { link: `</v1/customers?${query}&after=b>; rel="next"` })
        .end(isSecond ? '[]' : '[{"id":"a"},{"id":"b"}]');
    });
    await poller.runCycle();
    await poller.runCycle();
    expect(asked.slice(-1)).toEqual([expect.stringContaining('after=b')]);
    for (const url of asked) {
      expect(new URLSearchParams(url.split('?')[1]).get('api_key')).toBe(CANARY);
    }
    const { position } = await ledger.readProgress({ flow: 'welcome-package', source: SOURCE });
    expect(JSON.stringify(position)).toContain('after=b');
    await ledger.close();
    expect(bytesIn(path)).not.toMatch(HAS_CANARY);
    expect(messages().join()).not.toMatch(HAS_CANARY);
  },
);

it.each<[string, number, (url: string) => Record<string, string>, (url: string) => string]>([
  ['a page of errors', 500, () => ({}), (url) => `Cannot GET ${url}`],
  ['a redirect', 302, (url) => ({ location: url.replace('v1', 'v2') }), () => ''],
  ['a list that is none', 200, () => ({}), (url) => `{"url":"${url}"}`],
  [
    'a Link that leads nowhere',
    200,
    (url) => ({ link: `<mailto:x${url}&page=2>; rel="next"` }),
    () => '[]',
  ],
  ['a total that is no number', 200, (url) => ({ 'x-total-count': url }), () => '[]'],
  ['a range that is none', 200, (url) => ({ 'content-range': url }), () => '[]'],
  ['an error that is cut off in the key', 500, () => ({}), (url) => `${'x'.repeat(85)}${url}`],
])(
  '%s of the CRM that repeats the key does not bring it into the log',
  async (_, status, headers, body) => {
    const { poller, messages } = await setUp((request, response) => {
      const url = request.url ?? '';
      response.writeHead(status, headers(url)).end(body(url));
    });
    await poller.runCycle();
    expect(messages().join()).toContain('Failed to fetch customers');
    expect(messages().join()).not.toMatch(HAS_CANARY);
  },
);

it('a refusal of the inventory that repeats the key does not bring it into log and ledger', async () => {
  const { poller, dispatcher, ledger, path, messages, untilDone } = await setUp(
    (_request, response) => response.end('[{"id":"a"}]'),
  );
  void dispatcher.run();
  await poller.runCycle();
  await untilDone();
  expect((await ledger.list({}, 9)).map(({ last_error }) => last_error)).toEqual([
    expect.stringContaining('Refused: /package-requests?api_key=…&limit=2'),
  ]);
  await dispatcher.stop();
  await ledger.close();
  expect(bytesIn(path)).not.toMatch(HAS_CANARY);
  expect(messages().join()).not.toMatch(HAS_CANARY);
});
