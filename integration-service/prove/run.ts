import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCells as runGroup } from './cell.ts';
import type { Child } from './child-process.ts';
import { createLimit } from './limit.ts';
import { type Cell, groupCells } from './plan.ts';
import type { Source } from './proof.ts';
import type { CellResult } from './result.ts';
import { type StageOptions, setStage } from './stage.ts';

export interface RunOptions extends Omit<StageOptions, 'folder' | 'starts'> {
  cells: Cell[];
  /** Called with the number of cells that are done. */
  onProgress?: (done: number) => void;
}

const MAX_AT_ONCE = 24;
const BYTES_PER_PROCESS = 160_000_000;
/** Less than the 100 that PostgreSQL has by default. */
const MAX_CONNECTIONS = 90;
/** Maximum connections of one process; a stage needs one more for the database itself. */
const CONNECTIONS_PER_PROCESS = 4;

/**
 * Runs cells in parallel, as many as this machine has memory for. Good cells leave nothing behind. If the
 * signal aborts the run, or a cell cannot be run, all processes are killed before it rejects.
 */
export async function runCells(options: RunOptions): Promise<CellResult[]> {
  const { cells, replicas, ledger, onProgress } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const folder = mkdtempSync(join(tmpdir(), 'prove-'));
  const starts = createLimit(availableParallelism());
  const shared = { ...options, folder, starts, signal };
  const byMemory = process.availableMemory() / (BYTES_PER_PROCESS * replicas);
  const byConnections = ledger ? MAX_CONNECTIONS / (CONNECTIONS_PER_PROCESS * replicas + 1) : 99;
  const atOnce = Math.floor(Math.min(MAX_AT_ONCE, byMemory, byConnections));
  const limits = { light: createLimit(Math.max(1, atOnce)), heavy: createLimit(1) };
  const results: CellResult[] = [];

  async function run(group: Cell[]): Promise<void> {
    // One container at a time.
    using _turn = await limits[group[0]?.source.needsDocker ? 'heavy' : 'light']();
    signal.throwIfAborted();
    results.push(...(await runGroup(group, shared)));
    onProgress?.(results.length);
  }

  try {
    await checkStart(cells[0] as Cell, shared);
    const runs = groupCells(cells, replicas).map(run);
    for (const each of runs) each.catch((error: unknown) => failed.abort(error));
    await Promise.allSettled(runs);
    // The first error: those of the others are that they were aborted.
    failed.signal.throwIfAborted();
  } finally {
    rmSync(join(folder, 'compile-cache'), { recursive: true, force: true });
    const isKept = results.some(({ kept }) => kept) && !signal.aborted;
    if (!isKept) rmSync(folder, { recursive: true, force: true });
  }
  return results;
}

/** Starts and stops one process: shows whether any can start, and fills the cache of compiled code. */
async function checkStart(cell: Cell, options: StageOptions): Promise<void> {
  const source = cell.proof.sources.find(({ needsDocker }) => !needsDocker) as Source;
  const setting = { ...cell, name: 'start', source };
  await using stage = await setStage(setting, { ...options, replicas: 1 });
  await stage.startMissing();
  const [child] = stage.children as [Child];
  const url = await child.listening;
  const { code } = await child.kill('SIGTERM');
  if (url && code === 0) return;
  throw new Error(`integration-service does not start:\n${readFileSync(child.logFile, 'utf8')}`);
}
