import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from './ledgers.ts';
import { type NumberedPagesOptions, names, startNumberedPages } from './numbered-pages.ts';
import { type ServiceTestOptions, setUpService } from './support.ts';

/**
 * A CRM of numbered pages with `count` customers, and a poller with a ledger file that has polled once.
 */
async function setUp(count: number, options: NumberedPagesOptions & ServiceTestOptions = {}) {
  const crm = await startNumberedPages(options);
  crm.add(...names(count));
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const ledger = { kind: 'sqlite', path } as const;
  const start = () => setUpService({ ledger, crmUrl: crm.url, ...options });
  const service = await start();
  await service.poller.runCycle();
  const unseen = async () => {
    const seen = new Set(await service.keysOf('pending'));
    return crm.ids.filter((id) => !seen.has(id));
  };
  expect(await unseen()).toEqual([]);
  crm.take();
  return { ...service, crm, start, unseen };
}

describe('a first page that is full and unchanged', () => {
  it.each([
    ['with the Link on the 304', { keepsLink: true }],
    ['without it', { keepsLink: false }],
  ])('does not hide who is on the second page, %s', async (_, { keepsLink }) => {
    const leadsOn = ({ isLast }: { isLast: boolean }) => !isLast;
    const { crm, poller, unseen } = await setUp(10, { leadsOn, keepsLink });
    crm.add('eleven', 'twelve');
    await poller.runCycle();
    expect(await unseen()).toEqual([]);
  });

  it('does not hide anybody when it is the position, and leads on since', async () => {
    // In this list, page 2 is the last page and links to itself.
    const crm = await startNumberedPages({ leadsOn: () => true });
    crm.add(...names(10));
    const { poller, keysOf } = await setUpService({ crmUrl: crm.url });
    await poller.runCycle();
    crm.take();
    await poller.runCycle();
    expect(crm.take()).toEqual(['/customers 304', '/customers?page=2']);
    crm.add('eleven', 'twelve');
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual(crm.ids);
  });

  it.each([
    ['the URL itself chooses a page', '?limit=10', {}],
    ['a Link leads nowhere that we know', '', { link: '</customers?from=11>; rel="more"' }],
    ['a total says that there are pages', '', { 'x-total-count': '3' }],
  ])('is read again when %s', async (_, query, headers) => {
    const crm = await startNumberedPages({ headers: () => headers });
    crm.add(...names(3));
    const { poller } = await setUpService({ crmUrl: `${crm.url}${query}` });
    await poller.runCycle();
    await poller.runCycle();
    expect(crm.take()).toEqual([`/customers${query}`, `/customers${query}`]);
  });

  it('is read again when the 304 is the first to say that there are pages', async () => {
    let isPaged = false;
    const headers = () => (isPaged ? { 'x-total-count': '3' } : {});
    const { crm, poller } = await setUp(3, { headers } as NumberedPagesOptions);
    isPaged = true;
    await poller.runCycle();
    expect(crm.take()).toEqual(['/customers 304', '/customers']);
  });
});

describe('numbered pages of which the last one leads on, too', () => {
  const leadsOn = () => true;

  it.each([
    [true, ['/customers?page=2 304', '/customers?page=3']],
    [false, ['/customers?page=2', '/customers?page=3']],
  ])('are read on from the last one that had records (tags: %s)', async (isTagged, idle) => {
    const { crm, poller, unseen, start, messages } = await setUp(12, { leadsOn, isTagged });
    await poller.runCycle();
    await poller.runCycle();
    expect(crm.take()).toEqual([...idle, ...idle]);
    for (const added of [names(1, 'a'), names(7, 'b'), names(3, 'c'), names(25, 'd')]) {
      crm.add(...added);
      await poller.runCycle();
      expect(await unseen()).toEqual([]);
    }
    crm.take();
    await poller.runCycle();
    expect(crm.take()).toHaveLength(2);
    expect(messages('error')).toEqual([]);
    const again = await start();
    await again.poller.runCycle();
    expect(crm.take()).toHaveLength(2);
  });

  it('are two requests also when all of them are empty', async () => {
    const { crm, poller, unseen } = await setUp(0, { leadsOn, isTagged: false });
    await poller.runCycle();
    expect(crm.take()).toEqual(['/customers', '/customers?page=2']);
    crm.add('first');
    await poller.runCycle();
    expect(await unseen()).toEqual([]);
  });

  it('are read from the beginning when the pages have moved', async () => {
    const { crm, poller, unseen } = await setUp(12, { leadsOn });
    crm.ids.splice(0, 3);
    crm.add('new');
    await poller.runCycle();
    expect(await unseen()).toEqual([]);
    crm.ids.unshift('newest');
    await poller.runCycle();
    expect(await unseen()).toEqual([]);
  });

  it('serve those who came when one is deleted meanwhile, and the one passed over next time', async () => {
    const headers = ({ total }: { total: number }) => ({ 'x-total-count': `${total}` });
    const crm = await startNumberedPages({ headers, leadsOn: () => true });
    crm.add(...names(25));
    const { poller, keysOf } = await setUpService({ crmUrl: crm.url, maxRetries: 1 });
    crm.disturb = (path) => {
      if (path.endsWith('=3')) crm.ids.shift();
      return false;
    };
    await poller.runCycle();
    const served = await keysOf('pending');
    expect(crm.ids.filter((id) => !served.includes(id))).toEqual(['customer-21']);
    crm.disturb = () => false;
    await poller.runCycle();
    expect(await keysOf('pending')).toContain('customer-21');
  });

  it('are read whole every SWEEP_INTERVAL_SECONDS, also when the position is on the first', async () => {
    const options = { leadsOn, sweepIntervalMs: 60_000 };
    const { crm, poller, advance } = await setUp(3, options);
    await poller.runCycle();
    expect(crm.take()).toEqual(['/customers 304', '/customers?page=2']);
    advance(60_000);
    await poller.runCycle();
    expect(crm.take().length).toBeGreaterThan(10);
  });

  it('do not leave it at a page without records that leads to itself', async () => {
    const crm = await startNumberedPages();
    crm.disturb = (path, response) => {
      if (path !== '/customers?page=2' || crm.ids.length > 10) return false;
      response.writeHead(200, { link: '</customers?page=2>; rel="next"' }).end('[]');
      return true;
    };
    crm.add(...names(9));
    const { poller, keysOf } = await setUpService({ crmUrl: crm.url });
    await poller.runCycle();
    crm.add('ten');
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual(crm.ids);
  });
});

describe('a position that fails', () => {
  const leadsOn = () => true;
  const answers: Record<string, (response: ServerResponse) => void> = {
    'a broken connection': (response) => response.destroy(),
    'what is no list': (response) => response.end('<h1>Sign in</h1>'),
    'a Link that cannot be understood': (response) => response.setHeader('link', '<').end('[]'),
    'a 304 that names another ETag': (response) =>
      response.writeHead(304, { etag: '"of another"' }).end(),
  };
  for (const status of [206, 401, 403, 409, 500, 503]) {
    answers[status] = (response) => response.writeHead(status).end('[]');
  }

  it('is left at the next attempt', async () => {
    const { crm, poller, unseen, messages } = await setUp(12, { leadsOn, maxRetries: 2 });
    for (const [what, answer] of Object.entries(answers)) {
      let isAsked = false;
      crm.disturb = (path, response) => {
        if (isAsked || path !== '/customers?page=2') return false;
        isAsked = true;
        answer(response);
        return true;
      };
      crm.add(`new at ${what}`);
      await poller.runCycle();
      expect(crm.take().slice(0, 3), what).toEqual([
        ...['/customers?page=2 disturbed', '/customers', '/customers?page=2'],
      ]);
      expect(await unseen(), what).toEqual([]);
      // The next position is on page 2 again.
      crm.ids.splice(-1);
      await poller.runCycle();
      crm.take();
    }
    expect(messages('error')).toHaveLength(Object.keys(answers).length);
    const attempt = 'Failed to fetch customers (Attempt 1/2): ';
    expect(messages('error').every((line) => line.startsWith(attempt))).toBe(true);
  });

  it.each([403, 503, 429])(
    'with all attempts is not asked for again, nor after a restart: %i',
    async (status) => {
      const { crm, poller, start, stop } = await setUp(12, { leadsOn, maxRetries: 1 });
      crm.disturb = (_, response) => {
        response.writeHead(status).end();
        return true;
      };
      await poller.runCycle();
      expect(crm.take()).toEqual(['/customers?page=2 disturbed']);
      await poller.runCycle();
      expect(crm.take()).toEqual(['/customers disturbed']);
      await stop();
      const again = await start();
      await again.poller.runCycle();
      expect(crm.take()).toEqual(['/customers disturbed']);
      crm.disturb = () => false;
      await again.poller.runCycle();
      crm.take();
      await again.poller.runCycle();
      expect(crm.take()).toEqual(['/customers?page=2 304', '/customers?page=3']);
    },
  );

  it('is asked for again at a 429, which is not about the position', async () => {
    const { crm, poller, unseen } = await setUp(12, { leadsOn, maxRetries: 2 });
    let isAsked = false;
    crm.disturb = (_, response) => {
      if (isAsked) return false;
      isAsked = true;
      response.writeHead(429).end();
      return true;
    };
    crm.add('new');
    await poller.runCycle();
    expect(crm.take().slice(0, 2)).toEqual(['/customers?page=2 disturbed', '/customers?page=2']);
    expect(await unseen()).toEqual([]);
  });
});
