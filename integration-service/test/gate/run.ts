import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { pino } from 'pino';
import type { LedgerLocation } from '../../src/delivery/ledger/ledger.ts';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';
import { RECORD_GONE } from '../../src/delivery/ledger/superseding.ts';
import { temporaryFolder } from '../ledgers.ts';
import { startHttpServer } from '../support.ts';
import type { ChildOptions } from './child.ts';
import { GATE_MIGRATIONS, readRows } from './flows.ts';
import { type Breakage, createSystems } from './systems.ts';

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));

export interface GateRun {
  kills: number;
  /** What does not hold, for people; empty when all does. */
  problems: string[];
}

/**
 * Runs the engine with three flows under random kills, lets it finish in peace, and compares what there is
 * with what there should be.
 */
export async function runGate(
  location: LedgerLocation,
  options: { seed: number; starts: number; breakage?: Breakage },
): Promise<GateRun> {
  const { seed, starts, breakage } = options;
  const path = join(temporaryFolder(), 'rows');
  const systems = createSystems(seed, breakage);
  const url = await startHttpServer(systems.handle);
  const problems: string[] = [];
  let kills = 0;
  for (let i = 0; i < starts; i++) {
    const child = { location, url, path, seed: seed * 1_000 + i, killRate: 0.012 };
    const { signal, output } = await runChild({ ...child, ...(breakage && { breakage }) });
    if (signal === 'SIGKILL') kills += 1;
    problems.push(...output);
  }
  systems.calmDown();
  const child = { location, url, path, seed, killRate: 0 };
  const { signal, output } = await runChild({ ...child, ...(breakage && { breakage }) });
  problems.push(...output);
  if (signal) problems.push(`the last process ended by ${signal}`);
  systems.arrive();
  problems.push(...(await compare(location, path, systems)));
  return { kills, problems };
}

function runChild(
  options: ChildOptions,
): Promise<{ signal: string | undefined; output: string[] }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CHILD, JSON.stringify(options)], (error, stdout, stderr) => {
      const signal = error?.signal ?? undefined;
      const lines = `${stdout}${signal === 'SIGKILL' ? '' : stderr}`.split('\n');
      resolve({ signal, output: lines.filter(Boolean) });
    });
  });
}

async function compare(
  location: LedgerLocation,
  path: string,
  { crm, packages }: ReturnType<typeof createSystems>,
): Promise<string[]> {
  const ledger = await openLedger(location, pino({ level: 'silent' }), {
    ...{ hasThread: false, flowMigrations: GATE_MIGRATIONS },
  });
  const problems: string[] = [];
  const shop = await ledger.within(async (transaction) => {
    const { rows } = await sql<{ id: string; version: number; email: string | null }>`
      select id, version, email from shop`.execute(transaction);
    return rows;
  });
  for (const { id, version, email } of shop) {
    const found = crm.get(id);
    const isEqual = email === null ? !found : found?.version === version && found.email === email;
    if (!isEqual)
      problems.push(`${id}: ${version} ${email}, but the CRM has ${JSON.stringify(found)}`);
    const count = packages.filter((each) => each === id).length;
    if (count > 1) problems.push(`${id} has ${count} packages`);
    if (email !== null && count === 0) problems.push(`${id} has no package`);
  }
  const rows = await readRows(path, ledger);
  const keys = rows.map((row) => keyOf(row));
  if (keys.includes(undefined)) problems.push('the file has a torn row');
  if (new Set(keys).size !== keys.length) problems.push('the file has a row twice');
  for (const delivery of await ledger.list({}, 100_000)) {
    const { flow, key, lane, status, payload, label, last_error } = delivery;
    if (!['delivered', 'superseded'].includes(status)) problems.push(`${flow}/${key} is ${status}`);
    if (flow === 'into-file' && status === 'delivered' && !keys.includes(key)) {
      problems.push(`${key} is delivered, and not in the file`);
    }
    const isGone = shop.some(({ id, email }) => id === lane && email === null);
    if (!isGone) continue;
    if (payload !== null || label !== null || last_error !== null) {
      problems.push(`${flow}/${key} still says something of a customer who is gone`);
    }
    const history = (await ledger.get(flow, key))?.history ?? [];
    if (history.some(({ reason }) => ![null, RECORD_GONE].includes(reason)))
      problems.push(`${flow}/${key} has reasons`);
  }
  await ledger.close();
  const gone = shop.filter(({ email }) => email === null).map(({ id }) => id);
  if (location.kind === 'sqlite') {
    for (const file of [location.path, `${location.path}-wal`].filter((each) => existsSync(each))) {
      const text = readFileSync(file, 'latin1');
      const found = gone.filter((id) => new RegExp(`${id}[.][0-9]+@`).test(text));
      problems.push(...found.map((id) => `the address of ${id} is in ${file}`));
    }
  }
  return problems;
}

function keyOf(row: string): string | undefined {
  try {
    return JSON.parse(row).key;
  } catch {
    return undefined;
  }
}
