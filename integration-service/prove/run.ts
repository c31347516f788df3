import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CellResult } from './cell.ts';
import { countConnections } from './ledger-place.ts';
import { createLimit } from './limit.ts';
import { groupCells } from './plan.ts';
import { runCells as runTogether } from './run-cells.ts';
import type { Cell, Setting } from './setting.ts';
import { type StageOptions, setStage } from './stage.ts';
import type { Sabotage } from './welcome-package/inventory.ts';

export interface RunOptions {
  cells: Cell[];
  seed: number;
  /** A PostgreSQL server; without it, ledgers are SQLite files. */
  ledger?: string | undefined;
  replicas: number;
  signal: AbortSignal;
  /** Called after each cell. */
  onResult?: (result: CellResult) => void;
  /** For tests of the prover: makes the inventory break a guarantee. */
  sabotage?: Sabotage | undefined;
}

const MAX_AT_ONCE = 24;
const BYTES_PER_PROCESS = 160_000_000;
/** Maximum connections of one process; a cell needs one more for the database itself. */
const CONNECTIONS_PER_PROCESS = 4;
const SPARE_CONNECTIONS = 10;

/**
 * Runs cells in parallel, as many as this machine has memory for. Good cells leave nothing behind. If the
 * signal aborts the run, or a cell cannot be run, all processes are killed before it rejects.
 */
export async function runCells(options: RunOptions): Promise<CellResult[]> {
  const { cells, replicas, ledger, onResult } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const folder = mkdtempSync(join(tmpdir(), 'prove-'));
  const shared = { ...options, ledger, folder, boots: createLimit(availableParallelism()), signal };
  const results: CellResult[] = [];
  try {
    const atOnce = await countCellsAtOnce(replicas, ledger);
    await checkStart(shared);
    const cellLimit = createLimit(atOnce);
    const runs = groupCells(cells, replicas).map((group) =>
      cellLimit(async () => {
        signal.throwIfAborted();
        for (const result of await runTogether(group, shared)) {
          results.push(result);
          onResult?.(result);
        }
      }).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
    );
    await Promise.allSettled(runs);
    await Promise.all(runs);
  } finally {
    rmSync(join(folder, 'compile-cache'), { recursive: true, force: true });
    const isKept = results.some(({ kept }) => kept) && !signal.aborted;
    if (!isKept) rmSync(folder, { recursive: true, force: true });
  }
  return results;
}

async function countCellsAtOnce(replicas: number, ledger: string | undefined): Promise<number> {
  const byMemory = process.availableMemory() / (BYTES_PER_PROCESS * replicas);
  const byConnections = ledger
    ? ((await countConnections(ledger)) - SPARE_CONNECTIONS) /
      (CONNECTIONS_PER_PROCESS * replicas + 1)
    : MAX_AT_ONCE;
  return Math.max(1, Math.floor(Math.min(MAX_AT_ONCE, byMemory, byConnections)));
}

/** Starts and stops one process: shows whether any can start, and fills the cache of compiled code. */
async function checkStart(options: StageOptions): Promise<void> {
  const cell: Setting = { name: 'start', fault: 'none', inventory: 'plain' };
  await using stage = await setStage(cell, options);
  const child = await stage.start();
  const url = await child.listening;
  child.kill('SIGTERM');
  const { code } = await child.ended;
  if (url && code === 0) return;
  throw new Error(`integration-service does not start:\n${readFileSync(child.logFile, 'utf8')}`);
}
