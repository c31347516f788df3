import type { HttpService } from 'service-kit/http-service';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { buildForTest, postJson } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';

let app: HttpService;
beforeEach(async () => {
  app = await buildForTest(buildApp);
});
afterEach(() => app.close());

const names = (list: { name: string }[]) => list.map(({ name }) => name);

async function add(...all: string[]): Promise<void> {
  for (const name of all) await postJson(app, '/customers', { name, email: `${name}@x.org` });
}

/** Reads a page and the link to the next one. */
async function read(url: string, from = app) {
  const response = await from.inject({ url });
  const [, link = ''] = /^<([^>]+)>; rel="next"$/.exec(String(response.headers.link)) ?? [];
  const next = new URL(link, `http://crm.test${url}`);
  return {
    status: response.statusCode,
    body: response.json(),
    link,
    next: next.pathname + next.search,
  };
}

async function refusal(url: string) {
  const { status, body } = await read(url);
  return [status, body.detail?.[0]?.loc, body.detail?.[0]?.msg];
}

it('leads from the whole list to what comes later, and waits there', async () => {
  await add('a', 'b');
  const whole = await read('/customers');
  expect(names(whole.body)).toEqual(['a', 'b']);
  const end = await read(whole.next);
  expect(end).toMatchObject({ status: 200, body: [], next: whole.next });
  await add('c', 'd');
  const later = await read(whole.next);
  expect(names(later.body)).toEqual(['c', 'd']);
  expect((await read(later.next)).body).toEqual([]);
});

it('leads from page to page, each with as many as the limit', async () => {
  await add('a', 'b', 'c', 'd', 'e');
  const pages = [];
  let page = await read('/customers?limit=2');
  for (; page.body.length > 0; page = await read(page.next)) pages.push(names(page.body));
  expect(pages).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  expect(page.next).toContain('limit=2');
});

it('leads on from the URL that was asked for, under whatever path a gateway has it', async () => {
  const { link } = await read('/customers?limit=2');
  expect(new URL(link, 'https://gateway.test/crm/customers?limit=2').href).toMatch(
    /^https:\/\/gateway\.test\/crm\/customers\?after=[^&]+&limit=2$/,
  );
});

it('is a 304 at the end for who has been there, until there is more', async () => {
  const { next } = await read('/customers');
  const { etag } = (await app.inject({ url: next })).headers;
  const again = () => app.inject({ url: next, headers: { 'if-none-match': String(etag) } });
  expect((await again()).statusCode).toBe(304);
  expect((await again()).headers.link).toContain(next.split('?')[1]);
  await add('a');
  expect(names((await again()).json())).toEqual(['a']);
});

it('begins anew with a cursor of another epoch, such as before a restart', async () => {
  await add('a', 'b');
  const { next } = await read('/customers');
  const restarted = await buildForTest(buildApp);
  await postJson(restarted, '/customers', { name: 'z', email: 'z@x.org' });
  expect(names((await read(next, restarted)).body)).toEqual(['z']);
  await restarted.close();
});

it('refuses a cursor that it never gave', async () => {
  await add('a');
  const { next } = await read('/customers');
  const beyond = next.replace(/-1$/, '-2');
  expect(beyond).not.toBe(next);
  for (const url of [beyond, '/customers?after=', '/customers?after=x', '/customers?after=-1']) {
    expect(await refusal(url)).toEqual([
      422,
      ['query', 'after'],
      'Input should be a cursor from the Link header of this list',
    ]);
  }
});

it.each(['0', '-1', '1.5', 'x', '', '1000001', '99999999999999999999'])(
  'refuses %j as a limit',
  async (limit) => {
    expect(await refusal(`/customers?limit=${limit}`)).toEqual([
      422,
      ['query', 'limit'],
      'Input should be a whole number from 1 to 1000000',
    ]);
  },
);

it('takes the last value of a parameter that comes twice', async () => {
  await add('a', 'b');
  expect((await read('/customers?limit=x&limit=1')).body).toHaveLength(1);
});

it('sends a list that is larger than one write, whole', async () => {
  const name = '日'.repeat(100_000);
  for (let i = 0; i < 5; i++) {
    await postJson(app, '/customers', { name, email: `${i}@x.org` });
  }
  const { body } = await read('/customers');
  expect(names(body)).toEqual(Array(5).fill(name));
});
