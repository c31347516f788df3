import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { type Cells, COLUMNS, FILE_NAMES } from '../../../src/analytics/columns.ts';
import { linesOf } from '../../../src/analytics/csv.ts';
import { audit } from '../../../src/delivery/audit/audit.ts';
import type { AuditKind } from '../../../src/delivery/audit/kinds.ts';
import { LEDGER_KINDS } from '../../ledgers.ts';
import { poll, type Service, setUp } from './set-up.ts';

it('brings customers, products and package requests into their files, each state once', async () => {
  const { start, rows, create, request } = await setUp();
  const service = await start();
  const jane = await create('Jane Doe');
  const { request_id } = await request(jane.id);
  await poll(service);
  void service.dispatcher.run();
  await service.untilDone();
  expect(rows('customers')).toEqual([
    expect.stringMatching(
      new RegExp(
        `^${jane.id},Jane Doe,Jane.Doe@example.com,${jane.created_at},1,20.*Z,[0-9a-f]{64}\r\n$`,
      ),
    ),
  ]);
  expect(rows('inventory')).toHaveLength(12);
  expect(rows('data')).toEqual([
    expect.stringMatching(
      new RegExp(
        `^${request_id},${jane.id},Jane Doe,Jane.Doe@example.com,welcome_package,Welcome package,14.9,EUR,.*Z,\\d+(\\.\\d+)?,1,.*Z,[0-9a-f]{64}\r\n$`,
      ),
    ),
  ]);
  // Nothing is new: nothing is written. The stock of a product changes with each request.
  await poll(service);
  await request(jane.id);
  await poll(service);
  await service.untilDone();
  expect([rows('customers').length, rows('inventory').length, rows('data').length]).toEqual([
    ...[1, 13, 2],
  ]);
  const { delivery } = (await service.ledger.get(
    'analytics',
    (await service.keysOf('delivered')).find((key) => key.startsWith('customer/')) as string,
  )) as { delivery: { target_id: string | null } };
  expect(delivery.target_id).toMatch(/^analytics_customers\.csv, row 1, byte \d+$/);
});

it('goes on in another process where the files are, and cuts what was not committed', async () => {
  const { start, rows, create, folder } = await setUp();
  const first = await start();
  await create('a');
  await poll(first);
  void first.dispatcher.run();
  await first.untilDone();
  await first.stop();
  appendFileSync(join(folder, 'analytics_customers.csv'), 'torn');
  await create('b');
  const second = await start();
  await poll(second);
  void second.dispatcher.run();
  await second.untilDone();
  expect(rows('customers').map((line) => line.split(',')[1])).toEqual(['a', 'b']);
});

it('stops with a file that is not what it was, says so, and loses nothing', async () => {
  const { start, create, folder } = await setUp();
  const first = await start();
  await create('a');
  await poll(first);
  void first.dispatcher.run();
  await first.untilDone();
  await first.stop();
  rmSync(join(folder, 'analytics_customers.csv'));
  const second = await start();
  await create('b');
  await poll(second);
  void second.dispatcher.run();
  await expect
    .poll(() => second.open.checkReadiness().degraded)
    .toContainEqual({
      part: 'files',
      reason: expect.stringMatching(
        /analytics_customers\.csv is not there, and the ledger knows \d+/,
      ),
    });
  expect(second.open.checkReadiness().ready).toBe(true);
  expect(await second.keysOf('pending')).toHaveLength(1);
});

/** What an audit finds, by kind, without those that found nothing. */
async function auditOf({ flow, ledger, now }: Service, options: { repair?: boolean } = {}) {
  const { repair = false } = options;
  const report = await audit({
    ...{ flow, ledger, now, repair, trustList: repair, monotonicNow: () => performance.now() },
    onUnusable: () => {},
  });
  const found = Object.entries(report.counts).filter(([, count]) => count > 0);
  const entries = found.map(([kind]) => [kind, [...report.entriesOf(kind as AuditKind)]]);
  report.close();
  return Object.fromEntries(entries);
}

it('is audited row by row: what is missing, altered, doubled or foreign is found', async () => {
  const { start, create, request, folder, rows } = await setUp();
  const service = await start();
  const [a, b] = [await create('Ann'), await create('=Bob')];
  await request(a.id);
  await request(b.id);
  await poll(service);
  void service.dispatcher.run();
  await service.untilDone();
  expect(await auditOf(service)).toEqual({});

  const path = join(folder, 'analytics_customers.csv');
  const keys = await service.keysOf('delivered');
  const keyOf = (id: string) => keys.find((key) => key.startsWith(`customer/${id}/`));
  const text = readFileSync(path, 'utf8');
  // Of the same length: the ledger knows how many bytes there are.
  writeFileSync(path, text.replace('Ann', 'Amy'));
  expect(await auditOf(service)).toEqual({
    different: [
      { id: keyOf(a.id), differences: [{ field: 'name', expected: 'Ann', found: 'Amy' }] },
    ],
  });
  writeFileSync(path, text);
  const [first, second] = rows('customers') as [string, string];
  writeFileSync(path, text.replace(second, '').replace(first, first + first));
  const doubled = await auditOf(service);
  expect(doubled.doubled).toEqual([{ id: keyOf(a.id), differences: [] }]);
  expect(doubled.missing).toEqual([{ id: keyOf(b.id), differences: [] }]);
  writeFileSync(path, text.replace(a.id, 'c'.repeat(36)));
  const foreign = await auditOf(service);
  expect(foreign.missing).toEqual([{ id: keyOf(a.id), differences: [] }]);
  expect(foreign.orphaned).toEqual([
    { id: expect.stringMatching(/^customer\/c{36}\/1\//), differences: [] },
  ]);
  writeFileSync(path, text);
  // What the service has not read yet is on its way only when a service polls.
  await create('Late');
  const late = await auditOf(service);
  expect(Object.keys(late)).toEqual(['missing']);
});

it('writes again what a file has lost, when a person asks for it', async () => {
  const { start, create, folder, rows } = await setUp();
  const service = await start();
  await create('Ann');
  await create('Bob');
  await poll(service);
  void service.dispatcher.run();
  await service.untilDone();
  await service.ledger.within(async (transaction) => {
    await sql`delete from analytics_files where name = 'analytics_customers'`.execute(transaction);
  });
  await service.stop();
  // The ledger does not know the file any more: it is set aside, and begun anew.
  const next = await start();
  expect(await next.flow.target.mayWrite?.()).toBe(true);
  expect(rows('customers')).toEqual([]);
  expect((await auditOf(next, { repair: true })).missing).toHaveLength(2);
  void next.dispatcher.run();
  await next.untilDone();
  expect(rows('customers').map((line) => line.split(',')[1])).toEqual(['Ann', 'Bob']);
  expect(await auditOf(next)).toEqual({});
  expect(readdirSync(folder)).toContain('analytics_customers-1.csv');
});

it.each(LEDGER_KINDS)('shows the same rows to SQL, with a ledger in %s', async (kind) => {
  const { start, create, request, rows } = await setUp(kind);
  const service = await start();
  const { id } = await create('Ann');
  await request(id);
  await poll(service);
  void service.dispatcher.run();
  await service.untilDone();
  for (const name of FILE_NAMES) {
    const { rows: shown } = await service.ledger.read((db) =>
      sql<Record<string, unknown>>`select * from ${sql.raw(name)}`.execute(db),
    );
    const columns = COLUMNS[name];
    expect(Object.keys(shown[0] ?? {})).toEqual(columns.map((column) => column.name));
    const lines = shown.map((row) => linesOf(columns, [row as Cells])[0]);
    expect(lines.toSorted()).toEqual(rows(name.replace('analytics_', '')).toSorted());
  }
});
