import { join } from 'node:path';
import { assess, type CellOptions, type CellResult } from './cell.ts';
import { createRandom } from './random.ts';
import type { EventCell } from './setting.ts';
import { setStage } from './stage.ts';
import { createVictims } from './victims.ts';
import { startCrm } from './welcome-package/crm-process.ts';
import { openEventSource } from './welcome-package/open-event-source.ts';

/** Maximum length of a disturbance, and of the time before it; half of that on average. */
const PHASE_MS = 1_000;
/** An attempt that was cut off again and again has waits of a minute behind it. */
const DONE_DEADLINE_MS = 240_000;

/**
 * A real crm-api tells the service of customers by events alone: the list that the service polls stays
 * empty. While customers are created, the way of the events is disturbed; every third disturbance kills
 * the service instead.
 */
export async function runEventCell(cell: EventCell, options: CellOptions): Promise<CellResult> {
  const { seed, signal } = options;
  const random = createRandom(`${seed} ${cell.name}`);
  let serviceUrls = (): string[] => [];
  await using source = await openEventSource(cell.source, {
    serviceUrls: () => serviceUrls(),
    random,
    signal,
  });
  await using stage = await setStage(cell, {
    ...options,
    // The steps at which the service is killed must be reached by events alone.
    env: { ...source.serviceEnv, POLLING_INTERVAL_SECONDS: '3600' },
  });
  serviceUrls = () => stage.children.flatMap((child) => child.url() ?? []);
  const logFile = join(stage.folder, 'crm-api.log');
  await using crm = await startCrm({ env: source.crmEnv, logFile, signal });
  const victims = await createVictims(stage, { ...options, random });

  const done = { cut: 0, restart: 0 };
  async function disturb(number: number): Promise<void> {
    const killsBefore = Math.floor(number / 3);
    if (number % 3 === 2) return victims.kill(killsBefore);
    const { disturbances } = source;
    const next = disturbances[(number - killsBefore) % disturbances.length];
    await next?.run();
    if (next) done[next.kind] += 1;
  }

  const upTo = (number: number) => Math.floor((cell.customers * number) / cell.disturbances);
  for (let i = 0; i < cell.disturbances; i++) {
    const count = upTo(i + 1) - upTo(i);
    // A disturbed part must be at work: some customers come before the disturbance, at least one during
    // it.
    const before = Math.floor(count / 2);
    await crm.create(before, random() * PHASE_MS);
    await Promise.all([disturb(i), crm.create(count - before, random() * PHASE_MS)]);
  }
  if (cell.disturbances === 0) await crm.create(cell.customers, 0);

  const { customerIds } = crm;
  const { problem } = await stage.untilDone(DONE_DEADLINE_MS, customerIds);
  return await assess(cell, stage, {
    customerIds,
    kills: stage.children.filter((child) => child.end()?.signal === 'SIGKILL').length,
    cuts: done.cut,
    restarts: done.restart,
    problems: [...(problem ? [problem] : []), ...crm.problems()],
  });
}
