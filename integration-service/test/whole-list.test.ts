import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createHttpClient } from '../src/http/client.ts';
import { createCrmClient } from '../src/systems/crm/client.ts';
import { createInventoryClient } from '../src/systems/inventory/client.ts';
import { PACKAGE_TYPE } from '../src/welcome-package/item.ts';
import { packageRequest, pauseOf, setUpService, startHttpServer } from './support.ts';

interface Answer {
  status?: number;
  headers?: OutgoingHttpHeaders;
  /** Number of records in the answer. Default: 2. */
  count?: number;
}

const record = (id: string) => ({ ...packageRequest(id), id, name: id });

function reply(response: ServerResponse, { status = 200, headers, count = 2 }: Answer): void {
  const records = Array.from({ length: count }, (_, i) => record(`customer-${i + 1}`));
  response.writeHead(status, headers);
  response.end(status === 204 ? undefined : JSON.stringify(records));
}

/** A list for both ends of the service whose pages `/list`, `/list?page=2`, … give these answers. */
async function setUp(...first: Answer[]) {
  let pages = first;
  const server = await startHttpServer((request, response) => {
    const page = Number(new URLSearchParams(request.url?.split('?')[1]).get('page') ?? 1);
    reply(response, pages[page - 1] ?? { status: 404 });
  });
  const url = new URL('/list', server);
  const http = createHttpClient({ connections: 1, timeoutMs: 5_000 });
  onTestFinished(() => http.close());
  const log = pino({ level: 'silent' });
  const common = { http, url, maxResponseBytes: 1_000_000, now: Date.now };
  const crm = createCrmClient({
    ...common,
    pause: pauseOf('crm', log),
    maxRetries: 1,
    retryDelayMs: 0,
    log,
  });
  const inventory = createInventoryClient({ ...common, packageType: PACKAGE_TYPE });
  const outcomeOf = async (read: () => AsyncIterable<unknown>) => {
    try {
      return (await Array.fromAsync(read())).length;
    } catch (error) {
      return (error as Error).message;
    }
  };
  return {
    /** How many records the CRM and the inventory client each read, or the reason why one read none. */
    read: async () => [
      await outcomeOf(() => crm.readCustomers()),
      await outcomeOf(() => inventory.list({})),
    ],
    service: () => setUpService({ crmUrl: `${url}`, maxRetries: 1 }),
    answer(...others: Answer[]) {
      pages = others;
    },
  };
}

const link = (...values: string[]) => ({ link: values });

describe('a list that is not whole, or not current, by what its answer says', () => {
  it.each<[string, string, ...Answer[]]>([
    [
      '206 Partial Content (items 0-1/3)',
      '',
      { status: 206, headers: { 'content-range': 'items 0-1/3' } },
    ],
    ['203 Non-Authoritative', '', { status: 203 }],
    ['202 Accepted', '', { status: 202 }],
    ['226 IM Used', '', { status: 226 }],
    ['2 came, of Content-Range: items 0-1/3', '', { headers: { 'content-range': 'items 0-1/3' } }],
    ['Content-Range: 0-1/*', 'no total', { headers: { 'content-range': '0-1/*' } }],
    ['Content-Range: items 2-3/4', 'a later part', { headers: { 'content-range': 'items 2-3/4' } }],
    ['(Content-Range: bytes 0-9/20)', '', { headers: { 'content-range': 'bytes 0-9/20' } }],
    ['cannot be understood (Content-Range: two)', '', { headers: { 'content-range': 'two' } }],
    ['2 came, of x-total-count: 3', '', { headers: { 'X-Total-Count': '3' } }],
    ['2 came, of x-total: 2, 3', 'repeated', { headers: { 'X-Total': ['2', '3'] } }],
    ['2 came, of x-wp-total: 3', '', { headers: { 'X-WP-Total': '3' } }],
    ['0 came, of x-total-count: 3', '204', { status: 204, headers: { 'x-total-count': '3' } }],
    ['x-total-count: many', '', { headers: { 'x-total-count': 'many' } }],
    ['x-pagination TotalCount: 3', 'JSON', { headers: { 'x-pagination': '{"TotalCount":3}' } }],
    ['of x-wp-totalpages: 2', '', { headers: { 'x-wp-totalpages': '2' } }],
    ['x-next-page: 2', '', { headers: { 'x-next-page': '2' } }],
    [
      'Warning: 110 - "Response is stale"',
      '',
      { headers: { warning: '110 - "Response is stale"' } },
    ],
    ['Link header cannot be understood: <', '', { headers: link('<') }],
    ['Link header cannot be understood: rel="next"', '', { headers: link('rel="next"') }],
    ['Link header cannot be understood', 'no relation', { headers: link('</list?page=2>') }],
    [
      'Link header cannot be understood',
      'unclosed',
      { headers: link('</a>; rel="prev, </b>; rel="next"') },
    ],
    ['not clear where its Link header leads on', '', { headers: link('<http://[>; rel="next"') }],
    ['not clear where its Link header leads on', 'empty', { headers: link('<>; rel=next') }],
    ['not clear where', 'two', { headers: link('</a>; rel=next', '</b>; rel=next') }],
    ['not clear where', 'of another', { headers: link('</a>; rel=next; anchor="/b"') }],
    [
      'the Link to its last page',
      '',
      { headers: link('<?page=1>; rel=first, <?page=2>; rel=last') },
    ],
    [
      '3 came, of x-total-count: 4',
      'over two pages',
      { headers: { ...link('<?page=2>; rel=next'), 'x-total-count': '4' } },
      { count: 1, headers: { 'x-total-count': '4' } },
    ],
    [
      '3 came, of x-total-count: 4',
      'shorter while it is read',
      { headers: { ...link('<?page=2>; rel=next'), 'x-total-count': '4' } },
      { count: 1, headers: { 'x-total-count': '3' } },
    ],
  ])('is not used: %s %s', async (reason, _, ...pages) => {
    const { read } = await setUp(...pages);
    const [ofCrm, ofInventory] = await read();
    expect(ofCrm).toContain(reason);
    expect(ofInventory).toEqual(ofCrm);
    expect(ofCrm).not.toContain('customer-1');
  });

  it('fails the poll, which is not ready then, and says why', async () => {
    const { service, answer } = await setUp();
    const { poller, keysOf, messages } = await service();
    const range = { 'content-range': 'items 0-1/3' };
    const answers = [
      { status: 206, headers: range },
      { headers: range },
      { headers: { 'x-total-count': '3' } },
      { headers: link('<') },
    ];
    for (const each of answers) {
      answer(each);
      await poller.runCycle();
    }
    expect(messages('error')).toEqual([
      'Failed to fetch customers (Attempt 1/1): 206 Partial Content (items 0-1/3): it is not the whole list',
      'Failed to fetch customers (Attempt 1/1): it is not the whole list: 2 came, of Content-Range: items 0-1/3',
      'Failed to fetch customers (Attempt 1/1): it is not the whole list: 2 came, of x-total-count: 3',
      'Failed to fetch customers (Attempt 1/1): its Link header cannot be understood: <',
    ]);
    expect(await keysOf('pending')).toEqual([]);
    expect(poller.checkReadiness().ready).toBe(false);
    answer({ headers: { 'x-total-count': '2' } });
    await poller.runCycle();
    expect(await keysOf('pending')).toHaveLength(2);
    expect(poller.checkReadiness().ready).toBe(true);
  });

  it('is not used by whoever looks for what was requested, when it may be older than that', async () => {
    const { read } = await setUp({ headers: { age: '30' } });
    expect(await read()).toEqual([2, 'it is not the current list (Age: 30)']);
  });
});

describe('a list that is whole', () => {
  it('is one without records when it is a 204, for a poll, too', async () => {
    const { service } = await setUp({ status: 204 });
    const { poller, messages } = await service();
    await poller.runCycle();
    expect(messages('error')).toEqual([]);
    expect(messages('info')).toContain('No new customers found.');
  });

  it.each<[string, number, ...Answer[]]>([
    [
      'a total that is right, or larger than a page',
      2,
      { headers: { 'x-total-count': '2', 'x-total': '1' } },
    ],
    ['a total that nobody knows', 2, { headers: { 'x-total-count': '-1', 'x-total': 'unknown' } }],
    ['a range that is all', 2, { headers: { 'content-range': 'items 0-1/2' } }],
    ['a range of bytes that is all', 2, { headers: { 'content-range': 'bytes 0-9/10' } }],
    ['the range of nothing', 0, { count: 0, headers: { 'content-range': '*/0' } }],
    ['no next page', 2, { headers: { 'x-next-page': '', 'x-total-pages': '1' } }],
    ['no next page, as JSON', 2, { headers: { 'x-pagination': '{"total":2,"HasNext":false}' } }],
    ['another warning', 2, { headers: { warning: '199 - "see 110 there, 111 too"' } }],
    ['an empty Link', 2, { headers: link('', ' , ') }],
    [
      'Links that lead elsewhere',
      2,
      { headers: link('</x>; rel="prev self"; x, </>; crossorigin; rel=up') },
    ],
    [
      'its first page as its last',
      2,
      { headers: link('<?page=1>; rel=first, <?page=1>; rel=last') },
    ],
    ['204', 0, { status: 204 }],
    [
      'a total that rises while it is read',
      3,
      { headers: { ...link('<?page=2>; rel=next'), 'x-total-count': '2' } },
      { count: 1, headers: { 'x-total-count': '3' } },
    ],
    [
      'a total that rises while it is read, the newest first',
      3,
      { headers: { ...link('<?page=2>; rel=next'), 'x-total-count': '3', 'x-total-pages': '2' } },
      { count: 1, headers: { 'x-total-count': '4', 'x-total-pages': '3' } },
    ],
    [
      'a Link in another case, with parameters without a value, in several lines',
      4,
      {
        headers: link(
          '</other>; crossorigin; rel=help',
          '<?page=2>; CROSSORIGIN; REL = "prev  NEXT"',
        ),
      },
      {
        headers: {
          ...link('<?page=1>; rel=prev, <?p=2>; rel=last'),
          'content-range': 'items 2-3/4',
        },
      },
    ],
  ])('is used: %s', async (_, count, ...pages) => {
    const { read } = await setUp(...pages);
    expect(await read()).toEqual([count, count]);
  });
});

describe('an inventory whose list is not whole', () => {
  /** An inventory that loses the answer to the first request, and whose lists the callback provides. */
  async function inventory(list: (request: IncomingMessage, taken: string[]) => Answer) {
    const taken: string[] = [];
    const lists: string[] = [];
    const url = await startHttpServer((request, response) => {
      if (request.method === 'GET') {
        lists.push(request.url ?? '');
        return reply(response, list(request, taken));
      }
      request.on('data', (body) => taken.push(JSON.parse(String(body)).customer_id));
      request.on('end', () => response.destroy());
    });
    return { url: `${url}/list`, taken, lists };
  }
  const crm = () => startHttpServer((_, response) => reply(response, { count: 1 }));

  it('is sent nothing before it has been asked what it holds', async () => {
    const { url, taken } = await inventory(() => ({ status: 206 }));
    const service = await setUpService({ inventoryUrl: url, crmUrl: await crm() });
    await service.poller.runCycle();
    void service.dispatcher.run();
    await service.untilLogged(
      'what it already holds: 206 Partial Content: it is not the whole list',
    );
    expect(taken).toEqual([]);
  });

  it('gets no second package, and is read whole when only its filter gives a part', async () => {
    const { url, taken, lists } = await inventory((request, { length }) => {
      const isFiltered = request.url?.includes('customer_id');
      return { count: length, ...(isFiltered && { headers: { 'x-total-count': '50' } }) };
    });
    const service = await setUpService({ inventoryUrl: url, crmUrl: await crm() });
    await service.poller.runCycle();
    void service.dispatcher.run();
    await service.until(async () => (await service.keysOf('unknown')).length === 1);
    service.advance(1_000);
    await service.untilDone();
    expect(taken).toEqual(['customer-1']);
    expect(await service.keysOf('delivered')).toEqual(['customer-1']);
    expect(lists).toEqual(['/list', '/list?customer_id=customer-1', '/list']);
  });
});
