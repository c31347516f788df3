import { assess, type CellOptions, type CellResult, type Course } from './cell.ts';
import { endsWithin } from './child-process.ts';
import { chooseKill } from './kill-point.ts';
import { createRandom } from './random.ts';
import type { PointCell } from './setting.ts';
import { type Stage, setStage } from './stage.ts';
import { startWaves, type Waves } from './waves.ts';

/** Settling takes up to 11 s, and a fault may cost one such round. */
const KILL_DEADLINE_MS = 40_000;
/** Twice the same. */
const DONE_DEADLINE_MS = 90_000;

/** What is known about one kill before everything is delivered. */
interface Episode extends Course {
  cell: PointCell;
  customerIds: string[];
}

/**
 * Kills the service at one step after the other and restarts it each time. The next process has to handle
 * what a kill left behind, and may be killed while it does. The customers that come for a kill count for
 * it.
 */
export async function killInTurn(cells: PointCell[], options: CellOptions): Promise<CellResult[]> {
  const [first] = cells as [PointCell, ...PointCell[]];
  let waves: Waves | undefined;
  await using stage = await setStage(first, {
    ...options,
    onListed: () => waves?.onPolled(),
  });
  const { crm } = stage;
  const episodes: Episode[] = [];
  for (const cell of cells) {
    const isKnown = crm.customerIds.length;
    waves = startWaves(crm);
    const problems = await killAt(cell, stage, options);
    waves.end();
    const customerIds = crm.customerIds.slice(isKnown);
    const kills = problems.length === 0 ? 1 : 0;
    episodes.push({ cell, customerIds, kills, problems });
  }
  crm.add(1);
  episodes.at(-1)?.customerIds.push(...crm.customerIds.slice(-1));
  await stage.start();
  const { problem } = await stage.untilDone(DONE_DEADLINE_MS);
  if (problem) episodes.at(-1)?.problems.push(problem);

  const results: CellResult[] = [];
  for (const [i, episode] of episodes.entries()) {
    // Each process after the first was started because of the kill before it.
    const from = stage.children[i + 1]?.spawnedAt ?? 0;
    const at = Math.max(from, stage.inventory.servedAt(episode.customerIds) ?? from);
    results.push(await assess(episode.cell, stage, { ...episode, recovery: { from, at } }));
  }
  return results;
}

/** Starts a process that dies at a step; reports a problem if it did not die. */
async function killAt(
  cell: PointCell,
  stage: Stage,
  { seed, signal }: CellOptions,
): Promise<string[]> {
  const kill = chooseKill(cell.kills, createRandom(`${seed} ${cell.name}`), 1);
  const child = await stage.start(kill);
  if (await endsWithin(child, KILL_DEADLINE_MS, signal)) return [];
  child.kill();
  await child.ended;
  return [`the process did not reach the kill (${kill.step}, time ${kill.nth})`];
}
