import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { LEDGER_KINDS, newLocation } from '../ledgers.ts';

const execute = promisify(execFile);
const { PROCESSES = 5 } = process.env;
const WORKER = fileURLToPath(new URL('ledger-worker.ts', import.meta.url));

it.each(LEDGER_KINDS)(
  'a ledger in %s is opened by several processes at once, which share the work: each delivery goes to one',
  async (kind) => {
    const location = await newLocation(kind);
    const count = 400;
    const workers = Array.from({ length: Number(PROCESSES) }, () =>
      execute(process.execPath, [WORKER, JSON.stringify({ location, flow: 'a-flow', count })]),
    );
    const outputs = (await Promise.all(workers)).map(({ stdout }) => JSON.parse(stdout));
    const items = Array.from({ length: count }, (_, i) => `key-${i}`).sort();
    expect(outputs.flatMap(({ ingested }) => ingested).sort()).toEqual(items);
    expect(outputs.flatMap(({ claimed }) => claimed).sort()).toEqual(items);
  },
);
