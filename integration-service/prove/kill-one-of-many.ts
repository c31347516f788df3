import { setTimeout as sleep } from 'node:timers/promises';
import { assess, type CellOptions, type CellResult } from './cell.ts';
import type { Child } from './child-process.ts';
import { chooseKill } from './kill-point.ts';
import { createRandom } from './random.ts';
import type { PointCell } from './setting.ts';
import { setStage } from './stage.ts';
import { startWaves, type Waves } from './waves.ts';

/** Settling takes up to 11 s, and a fault may cost one such round. */
const KILL_DEADLINE_MS = 40_000;
/** Twice the same, plus the leases that a killed replica leaves behind. */
const DONE_DEADLINE_MS = 90_000;

/**
 * Kills one of several processes at a step. The others must take over its work. A customer that comes
 * after the kill must be served, too.
 */
export async function killOneOfMany(cell: PointCell, options: CellOptions): Promise<CellResult> {
  const { seed, replicas, signal } = options;
  const kill = chooseKill(cell.kills, createRandom(`${seed} ${cell.name}`), replicas);
  let waves: Waves | undefined;
  await using stage = await setStage(cell, { ...options, onListed: () => waves?.onPolled() });
  const { crm, children } = stage;
  waves = startWaves(crm);

  await Promise.all(Array.from({ length: replicas }, () => stage.start(kill)));
  const victim = await firstToEnd(children, signal);
  waves.end();
  if (!victim) {
    const { at } = await stage.untilDone(1_000);
    const problem = `no process reached the kill (${kill.step}, time ${kill.nth})`;
    return await assess(cell, stage, { kills: 0, problems: [problem], recovery: { from: at, at } });
  }

  crm.add(1);
  const number = children.indexOf(victim);
  const from = victim.end()?.at ?? performance.now();
  const { at, problem } = await stage.untilDone(DONE_DEADLINE_MS);
  return await assess(cell, stage, {
    kills: 1,
    problems: problem ? [problem] : [],
    recovery: { from, at, except: number },
  });
}

async function firstToEnd(children: Child[], signal: AbortSignal): Promise<Child | undefined> {
  const waiting = new AbortController();
  try {
    await Promise.race([
      ...children.map(({ ended }) => ended),
      sleep(KILL_DEADLINE_MS, undefined, { signal: AbortSignal.any([waiting.signal, signal]) }),
    ]);
  } finally {
    waiting.abort();
  }
  return children.find(({ end }) => end());
}
