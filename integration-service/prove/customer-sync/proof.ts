import { setTimeout as sleep } from 'node:timers/promises';
import { KILL_POINTS, type KillPoint } from '../kill-point.ts';
import type { Proof, Setting, Systems, Tools } from '../proof.ts';
import { createWatch } from '../systems/watch.ts';
import { createBackup } from './backup.ts';
import { createChanges, NoAnswer } from './changes.ts';
import { FAULTS, type Fault, openCrm } from './crm.ts';
import { type Examination, examine, toldVersion } from './examination.ts';
import { createShop, type Entry } from './shop.ts';
import { createShopClient } from './shop-client.ts';

/** Also during and after a call to the API, and before and after the read that follows a delete. */
const SYNC_KILL_POINTS: readonly KillPoint[] = [
  { step: 'requested', label: 'during API request', nth: [2, 8] },
  ...KILL_POINTS,
  { step: 'answered', label: 'after API answer', nth: [2, 8] },
  { step: 'reading', label: 'before read back', nth: [1, 2] },
  { step: 'read', label: 'after read back', nth: [1, 2] },
];

/** Customers are created and changed by so many at the same time. */
const WORKERS = 4;
/** Customers whom nobody changes after a disturbance. */
const LEFT_ALONE = 3;
/** After so long without a new customer, the shop does not work. */
const STUCK_MS = 60_000;

const environment = { SYNC_COMPARE_SECONDS: '0.5', RETRY_INTERVAL_SECONDS: '2' };

/** Two faults are enough: requests of before come late, or they do not. */
const disturbed = { faults: ['none', 'hangs'], killPoints: [] };

/** A CRM follows the customers of a shop. */
export const customerSync: Proof = {
  flow: 'customer-sync',
  description: `Creates, changes and deletes customers by the service's own API, several of them at the same time, with
e-mail addresses that are exchanged and used again, kills the service in the same ways, and compares the
shop with a real crm-api, field by field. Also kills crm-api, which loses its memory, and restores
backups of the ledger.`,
  nouns: { record: 'customer', target: 'CRM', effects: 'right', restarted: 'CRM' },
  sources: [
    {
      name: 'api',
      label: 'at random times',
      killPoints: SYNC_KILL_POINTS,
      faults: FAULTS,
      weight: 2,
    },
    { ...disturbed, name: 'crm', label: 'CRM loses its memory', weight: 4 },
    { ...disturbed, name: 'backup', label: 'backups restored', weight: 6 },
  ],
  targetKinds: ['guarded'],
  open,
};

async function open({ source, fault }: Setting, tools: Tools): Promise<Systems> {
  const { kill, random, untilListening, signal } = tools;
  const watch = createWatch(kill);
  const crm = await openCrm(fault as Fault, tools, watch);
  const client = createShopClient(tools, watch);
  const shop = createShop(client);
  const changes = createChanges(shop, client, random);
  const backup = createBackup(shop, tools, {
    countChanges: countAll,
    countAccepted: crm.countAccepted,
    onRestore() {
      changes.forgetEmails();
      leaveSomeAlone((version, { customer }) => version > customer.version);
    },
  });
  let found: Examination | undefined;

  function changesOf(id: string): number {
    const entry = shop.entries.get(id);
    return entry ? entry.customer.version + (entry.isGone ? 1 : 0) : 0;
  }

  function countAll(): number {
    return shop.entries.keys().reduce((sum, id) => sum + changesOf(id), 0);
  }

  /**
   * Sees to it that some customers are not changed any more: a later change of a customer would hide that the service
   * has not noticed what happened to the CRM or to the shop.
   *
   * @param isWanted decides by the version that the CRM has
   */
  function leaveSomeAlone(isWanted: (version: number, entry: Entry) => boolean): void {
    const wanted = [...shop.entries.values()].filter((entry) => {
      const version = crm.versionOf(entry.id);
      return !entry.isGone && !entry.isTaken && version !== undefined && isWanted(version, entry);
    });
    for (const entry of wanted.slice(0, LEFT_ALONE)) entry.isTaken = true;
  }

  /** Creates customers and changes some, with others who do the same; fewer if something is not answered. */
  async function work(count: number): Promise<string[]> {
    const ids: string[] = [];
    let left = count;
    async function one(): Promise<void> {
      try {
        while (left > 0) {
          left -= 1;
          ids.push(await changes.create());
          await changes.changeSome();
        }
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        left = 0;
      }
    }
    await Promise.all(Array.from({ length: WORKERS }, one));
    return ids;
  }

  async function create(count: number): Promise<string[]> {
    const ids: string[] = [];
    const deadline = performance.now() + STUCK_MS;
    found = undefined;
    while (ids.length < count && (await untilListening()).length > 0) {
      if (backup.isUnderWay()) return ids;
      if (shop.isUnclear()) ids.push(...((await readShop()) ?? []));
      else ids.push(...(await work(count - ids.length)));
      if (performance.now() < deadline || ids.length > 0) continue;
      shop.blame(`the shop created nobody in ${STUCK_MS / 1_000} s`);
      return ids;
    }
    return ids;
  }

  async function readShop(): Promise<string[] | undefined> {
    const ids = await shop.read();
    if (!ids) await sleep(50, undefined, { signal });
    return ids;
  }

  /** Those whom a process has changed at the CRM that does not know them. */
  function changedStrangers(): string[] {
    const changed = [...backup.forgotten].filter(([id, from]) => (crm.changedBy(id) ?? -1) >= from);
    return changed.map(([id]) => id);
  }

  return {
    envOf: (process) => ({ CUSTOMER_SYNC_URL: crm.urlFor(process), ...environment }),
    create,
    changes: changesOf,
    effects(id) {
      const { customer, isGone } = shop.entries.get(id) ?? {};
      const version = (customer?.version ?? 0) + (isGone ? 1 : 0);
      const isThere = found
        ? !found.wrong.has(id)
        : backup.forgotten.has(id) || (!crm.isBusy(id) && (crm.versionOf(id) ?? 0) >= version);
      return isThere ? 1 + crm.wentBack(id) : 0;
    },
    async examine(deliveries) {
      found = undefined;
      if (crm.isBusy() || !(await readShop())) return false;
      found = await examine(
        { shop, crm, isForgotten: (id) => backup.forgotten.has(id) },
        deliveries,
        tools,
      );
      return found.wrong.size + found.problems.length === 0;
    },
    mayEndWith: (id, deliveries) =>
      backup.wasRestored() && (backup.forgotten.has(id) || toldVersion(deliveries) !== undefined),
    disturbances: {
      api: [],
      crm: [
        { kind: 'restart' as const, run: () => crm.loseMemory(() => leaveSomeAlone(() => true)) },
      ],
      backup: [backup.disturbance],
    }[source.name as 'api' | 'crm' | 'backup'],
    ...{ arm: watch.arm, firstCallAfter: watch.firstCallAfter, idle: crm.idle },
    problems: () => [
      ...crm.problems(),
      ...shop.problems,
      ...(found ? found.problems : ['the shop and the CRM could not be compared']),
      ...[...(found?.wrong.values() ?? [])].slice(0, 5),
      ...changedStrangers().map((id) => `the service changed ${id}, whom the shop does not know`),
    ],
  };
}
