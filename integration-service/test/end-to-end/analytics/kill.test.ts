import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FILE_NAMES } from '../../../src/analytics/columns.ts';
import { LEDGER_KINDS } from '../../ledgers.ts';
import { ROOT, run } from '../processes.ts';
import { setUp } from './set-up.ts';

/** `npm run test:deep` takes more of both. */
const { ANALYTICS_CUSTOMERS = '400', ANALYTICS_KILLS = '6' } = process.env;
const [CUSTOMERS, KILLS] = [Number(ANALYTICS_CUSTOMERS), Number(ANALYTICS_KILLS)];

/** The rows as a reader sees them that is not ours. */
const READER = `
import csv, json, sys
with open(sys.argv[1], newline='', encoding='utf-8') as file:
    rows = list(csv.reader(file, strict=True))
assert all(len(row) == len(rows[0]) for row in rows), 'a torn row'
print(json.dumps(rows))
`;
const hasPython = (() => {
  try {
    execFileSync('python3', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!hasPython).each(LEDGER_KINDS)('files, with a ledger in %s', (kind) => {
  it('have each record once, whenever the process is killed', async () => {
    const { folder, location, env, create, request } = await setUp(kind);
    const options = JSON.stringify({
      location,
      env: { ...env, ANALYTICS_INTERVAL_SECONDS: '0.05', ANALYTICS_BATCH_SIZE: '7' },
    });
    const child = fileOf('child.ts');
    const start = () => run(process.execPath, [child, options]);
    const read = (name: string): string[][] =>
      JSON.parse(
        execFileSync('python3', ['-c', READER, join(folder, `${name}.csv`)], {
          ...{ encoding: 'utf8', maxBuffer: 1_000_000_000 },
        }),
      );

    let running = start();
    const ids: string[] = [];
    for (let i = 0, killed = 0; i < CUSTOMERS; i++) {
      const { id } = await create(`Customer, "${i}"`);
      ids.push(id);
      if (i % 2 === 0) await request(id);
      if (killed < KILLS && i >= ((killed + 1) * CUSTOMERS) / (KILLS + 1)) {
        killed += 1;
        // At any moment of a poll or a write; each third time, of the start.
        if (killed % 3 > 0) await running.until(/Writing files/);
        await sleep(Math.random() * 500);
        await running.stop('SIGKILL');
        running = start();
      }
    }
    await running.until(/Writing files/);
    const requested = ids.filter((_, i) => i % 2 === 0).toSorted();
    const column = (name: string, index: number) =>
      read(name)
        .slice(1)
        .map((row) => row[index] as string)
        .toSorted();
    await expect
      .poll(() => column('analytics_customers', 0), { interval: 500 })
      .toEqual(ids.toSorted());
    await expect.poll(() => column('analytics_data', 1), { interval: 500 }).toEqual(requested);
    expect(await running.stop()).toBe(0);
    expect(column('analytics_customers', 0)).toEqual(ids.toSorted());
    const all = FILE_NAMES.flatMap((name) =>
      read(name)
        .slice(1)
        .map((row) => `${row[0]} ${row.at(-1)}`),
    );
    expect(new Set(all).size).toBe(all.length);
  });
});

const fileOf = (name: string) =>
  join(ROOT, 'integration-service', 'test', 'end-to-end', 'analytics', name);
