import { assess, type CellOptions, type CellResult, type Course, type PointCell } from './cell.ts';
import { endsWithin } from './child-process.ts';
import { chooseKill } from './kill-point.ts';
import { createRandom } from './random.ts';
import { type Stage, setStage } from './stage.ts';

/** So many customers of a kill are there at first, as many come after the first poll. */
const WAVE = 3;
/** Settling takes up to 11 s, and a fault may cost one such round. */
const KILL_DEADLINE_MS = 40_000;
/** The same, twice. */
const DONE_DEADLINE_MS = 90_000;

/** What is known of one kill until all has been delivered. */
interface Episode extends Course {
  cell: PointCell;
  customerIds: string[];
}

/**
 * Kills the service at one step after the other, starting it again each time: what one kill leaves
 * behind, the next process has to deal with, and may be killed at. The customers who come for a kill
 * count for it.
 */
export async function killInTurn(cells: PointCell[], options: CellOptions): Promise<CellResult[]> {
  const [first] = cells as [PointCell, ...PointCell[]];
  let onPolled = () => {};
  await using stage = await setStage(first, {
    ...options,
    onListed: () => onPolled(),
  });
  const { crm } = stage;
  const episodes: Episode[] = [];
  for (const cell of cells) {
    const isKnown = crm.customerIds.length;
    crm.add(WAVE);
    let polls = 0;
    onPolled = () => {
      polls += 1;
      // One after each later poll: a slow process may have done with two waves before the step's turn comes.
      crm.add(polls === 1 ? WAVE : 1);
    };
    const problems = await killAt(cell, stage, options);
    onPolled = () => {};
    if (polls === 0) crm.add(WAVE);
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
    // Each process after the first was started because of the kill before.
    const from = stage.children[i + 1]?.spawnedAt ?? 0;
    const at = Math.max(from, stage.inventory.servedAt(episode.customerIds) ?? from);
    results.push(await assess(episode.cell, stage, { ...episode, recovery: { from, at } }));
  }
  return results;
}

/** Starts a process that dies at a step; tells when it did not. */
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
