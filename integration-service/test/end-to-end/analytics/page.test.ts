import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../../../src/app.ts';
import { poll, setUp } from './set-up.ts';

/** The service's routes, and customers of these names in the files. */
async function setUpPage(names: string[]) {
  const { start, create, folder } = await setUp();
  const service = await start();
  for (const name of names) await create(name);
  await poll(service);
  void service.dispatcher.run();
  await service.untilDone();
  const { ledger, log, now, open } = service;
  const app = await buildApp({
    ...{ log, ledger, now, host: '127.0.0.1', flows: [open] },
  });
  onTestFinished(() => app.close());
  const get = (url: string) => app.inject({ url });
  return { get, folder, service };
}

it('shows the files, and the last rows of each, without a script', async () => {
  const names = Array.from({ length: 60 }, (_, i) => `Customer ${i}`);
  const { get } = await setUpPage([...names, '<script>alert(1)</script> & "co"', '=1+1']);
  const response = await get('/analytics');
  expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(response.headers['content-security-policy']).toMatch(/^default-src 'none'/);
  const page = response.body;
  expect(page).not.toMatch(/<script|onload=|javascript:/i);
  expect(page).toContain('&#60;script&#62;alert(1)&#60;/script&#62; &#38; &#34;co&#34;');
  expect(page).toContain('&#39;=1+1');
  expect(page).toContain('<td class="number">62<');
  expect(page).toContain('The last 50 rows');
  expect(page).toContain('>Customer 12<');
  expect(page).not.toContain('>Customer 11<');
  expect(page.indexOf('>Customer 59<')).toBeLessThan(page.indexOf('>Customer 58<'));
  expect(page).toContain('All rows');
  expect(page).toContain('No rows yet.');
});

it('tells the same as JSON, and gives the files, as far as they are committed', async () => {
  const { get, folder } = await setUpPage(['Ann']);
  appendFileSync(join(folder, 'analytics_customers.csv'), 'torn, never committed');
  const files = (await get('/analytics/files')).json();
  expect(files).toMatchObject([
    { name: 'analytics_customers', rows: 1 },
    { name: 'analytics_data', rows: 0 },
    { name: 'analytics_inventory', rows: 12 },
  ]);
  const url = '/analytics/files/analytics_customers.csv';
  const file = await get(url);
  expect(file.headers).toMatchObject({
    'content-type': 'text/csv; charset=utf-8',
    'content-disposition': 'attachment; filename="analytics_customers.csv"',
    'content-length': String(files[0].bytes),
  });
  expect(file.rawPayload.length).toBe(files[0].bytes);
  expect(file.body).toMatch(/^id,name,.*\r\n[^\r]+,Ann,[^\r]+\r\n$/);
  const forExcel = await get(`${url}?bom=true`);
  expect(forExcel.rawPayload.subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
  expect(forExcel.rawPayload.subarray(3)).toEqual(file.rawPayload);
  expect((await get('/analytics')).body).not.toContain('torn');
});

it.each([
  ['/analytics/files/analytics_customers', 404],
  ['/analytics/files/..%2f..%2fpackage.json', 404],
  ['/analytics/files/.analytics.lock', 404],
  ['/analytics/files/analytics_customers.csv?bom=yes', 422],
  ['/analytics?x=1', 422],
])('gives nothing else: %s', async (url, status) => {
  const { get } = await setUpPage([]);
  expect((await get(url)).statusCode).toBe(status);
});

it('says so when a file cannot be read', async () => {
  const { get, folder } = await setUpPage(['Ann']);
  rmSync(join(folder, 'analytics_customers.csv'));
  const { statusCode, body } = await get('/analytics');
  expect(statusCode).toBe(200);
  expect(body).toContain('The file cannot be read now');
});
