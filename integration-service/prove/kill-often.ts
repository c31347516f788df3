import { setTimeout as sleep } from 'node:timers/promises';
import { assess, type CellOptions, type CellResult } from './cell.ts';
import type { Child } from './child-process.ts';
import { createRandom, wholeNumberFrom } from './random.ts';
import type { KillCell } from './setting.ts';
import { setStage } from './stage.ts';

/** This share of processes is killed while starting, which takes about `START_MS`; the rest at work. */
const SHARE_AT_START = 0.25;
const START_MS = 500;
const WORK_MS = 1_200;
const FIRST_CUSTOMERS = 6;
const CUSTOMERS_PER_KILL = 4;
const NEXT_CUSTOMER_MS = 100;
/** No new customers while this many wait: a target that fails at first is slow. */
const MAX_WAITING = 12;
/** An attempt that was cut off again and again has waits of a minute behind it. */
const DONE_DEADLINE_MS = 240_000;

/** Kills processes at random times and starts them again, while new customers keep coming. */
export async function killOften(
  cell: KillCell,
  kills: number,
  options: CellOptions,
): Promise<CellResult> {
  const { seed, replicas, signal } = options;
  const random = createRandom(`${seed} ${cell.name}`);
  await using stage = await setStage(cell, options);
  const { crm, inventory } = stage;
  crm.add(FIRST_CUSTOMERS);
  const stream = setInterval(() => {
    const ids = crm.customerIds;
    const waiting = ids.filter((id) => inventory.count(id) === 0).length;
    const isEnough = ids.length >= FIRST_CUSTOMERS + CUSTOMERS_PER_KILL * kills;
    if (waiting < MAX_WAITING && !isEnough) crm.add(1);
  }, NEXT_CUSTOMER_MS);

  try {
    const alive: Child[] = [];
    for (let i = 0; i < replicas; i++) alive.push(await stage.start());
    for (let i = 0; i < kills; i++) {
      const which = wholeNumberFrom(random, 0, replicas - 1);
      const child = alive[which] as Child;
      const isAtStart = random() < SHARE_AT_START;
      if (!isAtStart) await child.listening;
      const since = isAtStart ? child.spawnedAt : performance.now();
      const killAt = since + random() * (isAtStart ? START_MS : WORK_MS);
      await sleep(Math.max(0, killAt - performance.now()), undefined, { signal });
      child.kill();
      await child.ended;
      alive[which] = await stage.start();
    }
  } finally {
    clearInterval(stream);
  }

  crm.add(1);
  const from = stage.children.at(-1)?.spawnedAt ?? performance.now();
  const { at, problem } = await stage.untilDone(DONE_DEADLINE_MS);
  return await assess(cell, stage, {
    kills,
    problems: problem ? [problem] : [],
    recovery: { from, at },
  });
}
