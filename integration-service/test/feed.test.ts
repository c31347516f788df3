import { join } from 'node:path';
import { HttpResponse, http } from 'msw';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from './ledgers.ts';
import { CRM_URL, mockNetwork, type ServiceTestOptions, setUpService } from './support.ts';

const network = mockNetwork();

type Answer = Record<string, unknown>[] | number;

/**
 * A CRM with the pages that the test defines: paths and queries, each with its records (or the status of a
 * refusal) and the next page. `asked` lists the requests in order; `tagged` pages have an ETag.
 */
function paged(pages: Record<string, { answer: Answer; next?: string }>, { tagged = true } = {}) {
  const asked: string[] = [];
  network.use(
    http.get('http://*/*', ({ request }) => {
      const { pathname, search } = new URL(request.url);
      const path = `${pathname}${search}`;
      const { answer = 404, next } = pages[path] ?? {};
      if (typeof answer === 'number') {
        asked.push(`${path} ${answer}`);
        return new HttpResponse(null, { status: answer });
      }
      const etag = `"${JSON.stringify(answer).length}"`;
      const headers = { ...(next && { link: `<${next}>; rel="next"` }), ...(tagged && { etag }) };
      const known = request.headers.get('if-none-match');
      const isUnchanged = tagged && known === etag;
      if (isUnchanged) asked.push(`${path} 304`);
      else asked.push(known === null ? path : `${path} changed`);
      if (isUnchanged) return new HttpResponse(null, { status: 304, headers });
      return HttpResponse.json(answer, { headers });
    }),
  );
  const take = () => asked.splice(0);
  return { pages, take };
}

const records = (...ids: string[]) => ids.map((id) => ({ id, name: id }));

/** A poller with a ledger file that the next poller can continue. */
async function setUp(options: ServiceTestOptions = {}) {
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const start = (more: ServiceTestOptions = {}) =>
    setUpService({ ledger: { kind: 'sqlite', path }, ...options, ...more });
  const service = await start();
  const seen = () => service.keysOf('pending');
  return { ...service, start, seen };
}

describe('a CRM that leads on from its last record', () => {
  const waiting = () =>
    paged({
      '/customers': { answer: records('a', 'b'), next: '/customers?after=2' },
      '/customers?after=2': { answer: [], next: '/customers?after=2' },
    });

  it('is asked for what is new, which is nothing as long as it says so', async () => {
    const { pages, take } = waiting();
    const { poller, seen, messages, metric } = await setUp();
    await poller.runCycle();
    expect(take()).toEqual(['/customers', '/customers?after=2']);
    await poller.runCycle();
    await poller.runCycle();
    expect(take()).toEqual(['/customers?after=2 304', '/customers?after=2 304']);
    expect(messages().filter((line) => line === 'No new customers found.')).toHaveLength(2);
    pages['/customers?after=2'] = { answer: records('c'), next: '/customers?after=3' };
    pages['/customers?after=3'] = { answer: [], next: '/customers?after=3' };
    await poller.runCycle();
    await poller.runCycle();
    expect(take()).toEqual([
      '/customers?after=2 changed',
      '/customers?after=3',
      '/customers?after=3 304',
    ]);
    expect(await seen()).toEqual(['a', 'b', 'c']);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="new"}'),
    ).toBe(3);
    expect(
      await metric('records_seen_total{flow="welcome-package",source="crm",result="known"}'),
    ).toBe(0);
    expect(await metric('polls_total{flow="welcome-package",source="crm",result="success"}')).toBe(
      5,
    );
  });

  it('is asked there also after a restart of the service', async () => {
    const { take } = waiting();
    const { poller, start, stop } = await setUp();
    await poller.runCycle();
    await stop();
    take();
    const again = await start();
    await again.poller.runCycle();
    expect(take()).toEqual(['/customers?after=2 304']);
  });

  it('is read from its beginning, whatever it says of that, every SWEEP_INTERVAL_SECONDS', async () => {
    const { pages, take } = waiting();
    const { poller, seen, advance } = await setUp({ sweepIntervalMs: 60_000 });
    await poller.runCycle();
    advance(59_000);
    await poller.runCycle();
    take();
    pages['/customers'] = { answer: records('a', 'forgotten'), next: '/customers?after=2' };
    advance(1_000);
    await poller.runCycle();
    expect(take()).toEqual(['/customers', '/customers?after=2']);
    expect(await seen()).toEqual(['a', 'b', 'forgotten']);
    await poller.runCycle();
    expect(take()).toEqual(['/customers?after=2 304']);
  });

  it.each([400, 404, 410, 422])(
    'is read from its beginning, in the same cycle, when it answers %i there',
    async (status) => {
      const { pages, take } = waiting();
      const { poller, seen, messages } = await setUp();
      await poller.runCycle();
      take();
      pages['/customers'] = { answer: records('a', 'c'), next: '/customers?after=2-b' };
      pages['/customers?after=2'] = { answer: status };
      pages['/customers?after=2-b'] = { answer: [], next: '/customers?after=2-b' };
      await poller.runCycle();
      expect(take()).toEqual([
        `/customers?after=2 ${status}`,
        '/customers',
        '/customers?after=2-b',
      ]);
      expect(await seen()).toEqual(['a', 'b', 'c']);
      expect(messages('error')).toEqual([]);
    },
  );

  it('is read from its beginning when it is another CRM than before', async () => {
    const { pages, take } = waiting();
    const { poller, start, stop } = await setUp();
    await poller.runCycle();
    await stop();
    take();
    pages['/clients'] = { answer: records('c') };
    const moved = await start({ crmUrl: 'http://crm.test/clients' });
    await moved.poller.runCycle();
    expect(take()).toEqual(['/clients']);
  });

  it('is read from its beginning when it fails there, and what it failed with is not taken for the end', async () => {
    const { pages, take } = waiting();
    const { poller, seen } = await setUp({ maxRetries: 2 });
    await poller.runCycle();
    take();
    pages['/customers?after=2'] = { answer: 503 };
    await poller.runCycle();
    expect(take()).toEqual([
      ...['/customers?after=2 503', '/customers'],
      ...['/customers?after=2 503', '/customers?after=2 503'],
    ]);
    pages['/customers?after=2'] = { answer: records('c'), next: '/customers?after=2' };
    await poller.runCycle();
    expect(await seen()).toEqual(['a', 'b', 'c']);
  });
});

describe('a list of several pages', () => {
  const three = {
    '/customers': { answer: records('a', 'b'), next: 'http://crm.test/customers?page=2' },
    '/customers?page=2': { answer: records('c'), next: '?page=3' },
    '/customers?page=3': { answer: records('d') },
  };

  it('is read to its end, each time, when it does not lead on from there', async () => {
    const { take } = paged({ ...three });
    const { poller, seen } = await setUp();
    await poller.runCycle();
    await poller.runCycle();
    expect(take()).toEqual([...Object.keys(three), ...Object.keys(three)]);
    expect(await seen()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is not used when one of its pages fails, and each page is attempted for itself', async () => {
    const { pages, take } = paged({ ...three, '/customers?page=3': { answer: 500 } });
    const { poller, seen, metric } = await setUp({ maxRetries: 2 });
    await poller.runCycle();
    expect(take()).toEqual([
      '/customers',
      '/customers?page=2',
      '/customers?page=3 500',
      '/customers?page=3 500',
    ]);
    expect(await seen()).toEqual([]);
    expect(await metric('polls_total{flow="welcome-package",source="crm",result="failure"}')).toBe(
      1,
    );
    pages['/customers?page=3'] = { answer: records('d') };
    await poller.runCycle();
    expect(await seen()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('ends where its pages lead back to one another', async () => {
    const { take } = paged({
      ...three,
      '/customers?page=3': { answer: records('d'), next: '/customers?page=2' },
    });
    const { poller, seen } = await setUp();
    await poller.runCycle();
    expect(take()).toEqual(Object.keys(three));
    expect(await seen()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('goes on behind an empty page', async () => {
    paged({ ...three, '/customers?page=2': { answer: [], next: '/customers?page=3' } });
    const { poller, seen } = await setUp();
    await poller.runCycle();
    expect(await seen()).toEqual(['a', 'b', 'd']);
  });

  it('goes on behind many empty pages, and is read on from the last one that had records', async () => {
    const empty = Array.from({ length: 30 }, (_, i) => {
      return [`/customers?page=${i}`, { answer: [], next: `/customers?page=${i + 1}` }] as const;
    });
    const { take } = paged({
      '/customers': { answer: records('a'), next: '/customers?page=0' },
      ...Object.fromEntries(empty),
      '/customers?page=30': { answer: records('b'), next: '/customers?page=31' },
      '/customers?page=31': { answer: [], next: '/customers?page=31' },
    });
    const { poller, seen } = await setUp();
    await poller.runCycle();
    expect(take()).toHaveLength(33);
    expect(await seen()).toEqual(['a', 'b']);
    await poller.runCycle();
    expect(take()).toEqual(['/customers?page=30 304', '/customers?page=31']);
  });

  it('is asked for at the server that we know, as the user that we are', async () => {
    const asked: (string | null)[] = [];
    network.use(
      http.get('http://*/*', ({ request }) => {
        asked.push(request.url, request.headers.get('authorization'));
        const isFirst = asked.length === 2;
        const link =
          '<https://elsewhere.test:1234/customers?page=2#x>; rel="prev next"; title="a, b"';
        return HttpResponse.json([], isFirst ? { headers: { link } } : {});
      }),
    );
    const { poller } = await setUp({ crmUrl: 'http://user:p%40ss@crm.test/customers' });
    await poller.runCycle();
    const authorization = `Basic ${btoa('user:p@ss')}`;
    expect(asked).toEqual([
      ...[CRM_URL, authorization],
      ...['http://crm.test/customers?page=2', authorization],
    ]);
  });

  it('without an end fails the poll', async () => {
    let pages = 0;
    network.use(
      http.get('http://*/*', () => {
        pages += 1;
        const link = `<?page=${pages}>; rel="next"`;
        return HttpResponse.json(records(`${pages}`), { headers: { link } });
      }),
    );
    const { poller, seen, messages } = await setUp({ maxResponseBytes: 2_000 });
    await poller.runCycle();
    expect(pages).toBeLessThan(1_000);
    expect(messages('error').at(-1)).toContain('its pages together are larger than 0.002 MB');
    expect(await seen()).toEqual([]);
  });
});

describe('a list of one page with an entity tag', () => {
  it('is sent again only when it has changed, or has not been read whole for long', async () => {
    const { pages, take } = paged({ '/customers': { answer: records('a') } });
    const { poller, seen, advance } = await setUp({ sweepIntervalMs: 60_000 });
    await poller.runCycle();
    await poller.runCycle();
    pages['/customers'] = { answer: records('a', 'b') };
    await poller.runCycle();
    await poller.runCycle();
    expect(take()).toEqual([
      ...['/customers', '/customers 304'],
      ...['/customers changed', '/customers 304'],
    ]);
    advance(60_000);
    await poller.runCycle();
    expect(take()).toEqual(['/customers']);
    expect(await seen()).toEqual(['a', 'b']);
  });

  it('is a failure when it is a 304 that nobody asked for', async () => {
    network.use(http.get(CRM_URL, () => new HttpResponse(null, { status: 304 })));
    const { poller, messages } = await setUp({ maxRetries: 1 });
    await poller.runCycle();
    expect(messages('error')).toEqual([
      'Failed to fetch customers (Attempt 1/1): 304 Not Modified',
    ]);
  });
});

it.each(['', '</x>; rel="prev"', '</x>; rel=nextish'])(
  'a Link header that leads nowhere is no page: %j',
  async (link) => {
    network.use(http.get(CRM_URL, () => HttpResponse.json(records('a'), { headers: { link } })));
    const { poller, seen, messages } = await setUp();
    await poller.runCycle();
    expect(await seen()).toEqual(['a']);
    expect(messages('error')).toEqual([]);
  },
);
