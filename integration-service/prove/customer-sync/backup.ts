import { setTimeout as sleep } from 'node:timers/promises';
import type { Disturbance, Tools } from '../proof.ts';
import type { Shop } from './shop.ts';

export interface BackupOptions {
  /** How many changes the shop has answered so far. */
  countChanges: () => number;
  /** How many of them the CRM has accepted so far. */
  countAccepted: () => number;
  /** Called when the shop has gone back in time. */
  onRestore: () => void;
}

export interface Backup {
  disturbance: Disturbance;
  /** The shop is going back in time: what it answers is no measure, and nobody changes anything. */
  isUnderWay(): boolean;
  /** The shop was restored from a backup at least once. */
  wasRestored(): boolean;
  /** The shop knew these customers, and the backup that was restored did not: the number of the first process since. */
  forgotten: ReadonlyMap<string, number>;
}

/** This many changes are in no backup. Of them, so many are at the CRM before the backup is restored. */
const CHANGES = 25;
const AT_CRM = 10;

/**
 * A disturbance that backs up the ledger while the service does not run, waits for changes, and restores it.
 */
export function createBackup(
  shop: Shop,
  { ledger, restart, signal }: Pick<Tools, 'ledger' | 'restart' | 'signal'>,
  { countChanges, countAccepted, onRestore }: BackupOptions,
): Backup {
  const forgotten = new Map<string, number>();
  let isUnderWay = false;
  let restores = 0;

  async function run(): Promise<void> {
    await restart(() => ledger.backUp());
    const [changes, accepted] = [countChanges() + CHANGES, countAccepted() + AT_CRM];
    while (countChanges() < changes || countAccepted() < accepted) {
      await sleep(50, undefined, { signal });
    }
    isUnderWay = true;
    const first = await restart(() => ledger.restore());
    const lanes = await ledger.query('select distinct lane from deliveries');
    const known = new Set(lanes.map(({ lane }) => lane));
    for (const id of shop.entries.keys()) if (!known.has(id)) forgotten.getOrInsert(id, first);
    while (!(await shop.read({ isRestored: true }))) await sleep(50, undefined, { signal });
    onRestore();
    restores += 1;
    isUnderWay = false;
  }

  return {
    disturbance: { kind: 'restore', run },
    isUnderWay: () => isUnderWay,
    wasRestored: () => restores > 0,
    forgotten,
  };
}
