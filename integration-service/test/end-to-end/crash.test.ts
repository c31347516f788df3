import type { ChildProcess } from 'node:child_process';
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../ledgers.ts';
import { packageRequest, startHttpServer } from '../support.ts';
import { startService } from './processes.ts';

type PackageRequest = ReturnType<typeof packageRequest>;

const customers = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `customer-${i}` }));

/** A CRM with `count` customers, and an inventory that supports no keys and no filters. */
async function startSystems(count: number, answerAfter: () => Promise<void> = async () => {}) {
  const stored: PackageRequest[] = [];
  const crmUrl = await startHttpServer((_request, response) =>
    response.end(JSON.stringify(customers(count))),
  );
  const inventoryUrl = await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end(JSON.stringify(stored));
    let body = '';
    for await (const chunk of request) body += chunk;
    const created = packageRequest(JSON.parse(body).customer_id);
    stored.push(created);
    await answerAfter();
    response.writeHead(201).end(JSON.stringify(created));
  });
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const env = {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: inventoryUrl,
    LEDGER_URL: `sqlite:${path}`,
    POLLING_INTERVAL_SECONDS: '0.2',
    // One log line per customer.
    LOG_LEVEL: 'debug',
  };
  return { stored, path, env, start: () => startService('integration-service', env) };
}

const idsOf = (stored: PackageRequest[]) => stored.map(({ customer_id }) => customer_id).sort();
const allIds = (count: number) =>
  customers(count)
    .map(({ id }) => id)
    .sort();

async function untilAllDelivered(url: string): Promise<void> {
  await expect
    .poll(
      async () => {
        const metrics = await (await fetch(`${url}/metrics`)).text();
        const count = (status: string) =>
          Number(
            new RegExp(`deliveries\\{flow="welcome-package",status="${status}"\\} (\\d+)`).exec(
              metrics,
            )?.[1],
          );
        return (
          count('pending') + count('sending') + count('unknown') + (count('delivered') ? 0 : 1)
        );
      },
      { timeout: 30_000 },
    )
    .toBe(0);
}

describe('integration-service, killed half way through 300 customers', () => {
  it('goes on where it was, with one package each, also without idempotency keys', async () => {
    const { stored, start } = await startSystems(300);
    const first = await start();
    await first.until(/Successfully created package request/, 150);
    expect(await first.stop('SIGKILL')).toBe('SIGKILL');
    const before = stored.length;
    expect(before).toBeLessThan(300);

    const second = await start();
    await second.until(/Successfully created package request/, 1);
    await untilAllDelivered(second.url);
    expect(idsOf(stored)).toEqual(allIds(300));
  });

  it('begins with a new ledger when the old one is deleted, and doubles nothing', async () => {
    const { stored, start, path } = await startSystems(200);
    const first = await start();
    await first.until(/Successfully created package request/, 100);
    await first.stop('SIGKILL');
    for (const file of ['', '-wal', '-shm', '.lock']) rmSync(`${path}${file}`, { force: true });

    const second = await start();
    await second.until(/The inventory already holds \d+ \(.*\)\. None of it is sent again\./);
    await untilAllDelivered(second.url);
    expect(idsOf(stored)).toEqual(allIds(200));
  });
});

it('a ledger restored from a backup doubles nothing where the inventory honours the keys', async () => {
  const inventory = await startService('inventory-api');
  const ids = Array.from({ length: 20 }, () => ({ id: crypto.randomUUID() }));
  const crmUrl = await startHttpServer((_request, response) => response.end(JSON.stringify(ids)));
  const path = join(temporaryFolder(), 'ledger.sqlite');
  const env = {
    CRM_API_URL: crmUrl,
    INVENTORY_API_URL: `${inventory.url}/package-requests`,
    LEDGER_URL: `sqlite:${path}`,
  };
  const all = ids.splice(0);
  const empty = await startService('integration-service', env);
  await empty.until(/None of it is sent again/);
  await empty.until(/Polling cycle finished/);
  await empty.stop();
  copyFileSync(path, `${path}.backup`);

  ids.push(...all);
  const first = await startService('integration-service', env);
  await first.until(/Successfully created package request/, 20);
  await first.stop();
  copyFileSync(`${path}.backup`, path);
  const second = await startService('integration-service', env);
  await second.until(/Successfully created package request/, 20);
  const list = await fetch(`${inventory.url}/package-requests`);
  const stored = (await list.json()) as PackageRequest[];
  expect(idsOf(stored)).toEqual(all.map(({ id }) => id).sort());
});

it('a service that was stopped for a while does not send what another has taken over', async () => {
  // The first service holds one claimed delivery whose answer never comes.
  const { stored, path, env } = await startSystems(1, () => new Promise(() => {}));
  const first = await startService('integration-service', {
    ...env,
    REQUEST_TIMEOUT_SECONDS: '120',
  });
  await first.until(/Creating package request/);
  await expect.poll(() => stored.length).toBe(1);
  await stopOutsideTransactions(first.process, path);
  const second = await startService('integration-service', env);
  await untilAllDelivered(second.url);
  first.process.kill('SIGCONT');
  await first.until(/No new customers found/);
  expect(await first.stop()).toBe(0);
  expect(stored).toHaveLength(1);
});

/** Stops a process at a moment when it does not lock its ledger, in a file: others could not work either. */
async function stopOutsideTransactions(process: ChildProcess, path: string): Promise<void> {
  const isLocked = () => {
    using database = new DatabaseSync(path, { timeout: 0 });
    try {
      database.exec('begin immediate; rollback');
      return false;
    } catch {
      return true;
    }
  };
  await expect
    .poll(() => {
      process.kill('SIGSTOP');
      const locked = isLocked();
      if (locked) process.kill('SIGCONT');
      return locked;
    })
    .toBe(false);
}

it('a slow inventory does not hold up the next poll', async () => {
  const { stored, start } = await startSystems(2, () => new Promise(() => {}));
  const service = await start();
  await service.until(/Creating package request/, 2);
  await service.until(/No new customers found/, 3);
  expect(stored).toHaveLength(2);
});
