import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, type Crash, startChild } from './child-process.ts';
import { readHistory, readStatuses } from './deliveries.ts';
import { isInventoryKill, isServiceKill, type Kill, type ServiceStep } from './kill-point.ts';
import { createLedgerPlace } from './ledger-place.ts';
import type { Limit } from './limit.ts';
import type { Setting } from './setting.ts';
import { type Crm, createCrm } from './welcome-package/crm.ts';
import { createInventory, type Inventory, type Sabotage } from './welcome-package/inventory.ts';

/** What all cells of a run share. */
export interface StageOptions {
  /** Contains one folder per cell. */
  folder: string;
  /** A PostgreSQL server; without it, ledgers are SQLite files. */
  ledger: string | undefined;
  /** Number of processes that share a ledger. */
  replicas: number;
  /** Limits concurrent starts, so that a start takes as long as on a machine that is not overloaded. */
  boots: Limit;
  signal: AbortSignal;
  sabotage?: Sabotage | undefined;
}

/** A CRM, an inventory, a ledger, and processes of the service that work for them. */
export interface Stage extends AsyncDisposable {
  crm: Crm;
  inventory: Inventory;
  /** Contains the logs. */
  folder: string;
  /** In start order. */
  children: Child[];
  /**
   * Resolves when the process has been spawned. If several processes get the same kill, one of them dies.
   */
  start(kill?: Kill): Promise<Child>;
  /**
   * Resolves without a problem when the service says that everything is delivered; otherwise, at the
   * deadline or when all that is left is dead, with the problem.
   *
   * @param customerIds default: those of the CRM
   */
  untilDone(
    deadlineMs: number,
    customerIds?: string[],
  ): Promise<{ at: number; problem: string | undefined }>;
  /** The ledger's history of a customer, one line per event. */
  historyOf(customerId: string): Promise<string[]>;
  /** Keeps logs and ledger when the stage is disposed of; returns where they are. */
  keep(): string;
}

const TIMEOUT_MS = 1_000;

const environment = {
  INTEGRATION_SERVICE_PORT: '0',
  POLLING_INTERVAL_SECONDS: '0.2',
  REQUEST_TIMEOUT_SECONDS: String(TIMEOUT_MS / 1000),
  RETRY_DELAY_SECONDS: '0.1',
  // Fewer than customers, so that some wait while others are under way.
  DELIVERY_CONCURRENCY: '4',
  LOG_FORMAT: 'json',
};

/** Sets up a stage. Disposing of it kills its processes and removes everything. */
export async function setStage(
  cell: Setting,
  options: StageOptions & {
    onListed?: (crm: Crm) => void;
    /** Added to the environment that all processes get. */
    env?: Record<string, string>;
  },
): Promise<Stage> {
  const { replicas, signal, boots } = options;
  await using parts = new AsyncDisposableStack();
  const folder = join(options.folder, cell.name.replaceAll('/', '-'));
  let isKept = false;
  mkdirSync(folder);
  parts.defer(() => {
    if (!isKept) rmSync(folder, { recursive: true, force: true });
  });
  const ledger = await createLedgerPlace(folder, options.ledger);
  parts.defer(() => (isKept && !signal.aborted ? undefined : ledger.drop()));
  const crm = await createCrm(options);
  parts.defer(crm.close);
  const children: Child[] = [];
  const kills: Kill[] = [];
  const inventory = await createInventory({
    ...options,
    kind: cell.inventory,
    fault: cell.fault,
    timeoutMs: TIMEOUT_MS,
    onKill: (number) => children[number]?.kill(),
  });
  parts.defer(inventory.close);
  parts.defer(async () => {
    for (const child of children) child.kill();
    await Promise.all(children.map(({ ended }) => ended));
  });

  function start(kill?: Kill): Promise<Child> {
    const { promise, resolve, reject } = Promise.withResolvers<Child>();
    const run = async () => {
      signal.throwIfAborted();
      const child = spawnChild(kill);
      resolve(child);
      await child.listening;
    };
    // Replacements go first: what a killed process left behind must not age before another process sees
    // it.
    boots(run, { isUrgent: children.length >= replicas }).catch(reject);
    return promise;
  }

  function spawnChild(kill?: Kill): Child {
    if (kill && isInventoryKill(kill)) {
      inventory.arm(kill, replicas === 1 ? children.length : undefined);
    }
    const child = startChild({
      env: {
        ...environment,
        LEDGER_URL: ledger.url,
        CRM_API_URL: crm.url,
        INVENTORY_API_URL: inventory.urlFor(children.length),
        NODE_COMPILE_CACHE: join(options.folder, 'compile-cache'),
        ...options.env,
      },
      crash: kill && isServiceKill(kill) ? crashOf(kill) : undefined,
      logFile: join(folder, `service-${children.length}.log`),
    });
    children.push(child);
    return child;
  }

  function crashOf(kill: Kill<ServiceStep>): Crash {
    if (!kills.includes(kill)) kills.push(kill);
    return { ...kill, ticket: join(folder, `crashed-${kills.indexOf(kill)}`) };
  }

  async function urlOfLiving(): Promise<string | undefined> {
    const child = children.findLast((each) => !each.end());
    return child?.listening;
  }

  async function untilDone(deadlineMs: number, customerIds = crm.customerIds) {
    const deadline = performance.now() + deadlineMs;
    let seen = 'the service did not answer';
    while (performance.now() < deadline) {
      // A correct service cannot be done before the inventory has everything; until then, ask less often.
      const isFull = customerIds.every((id) => inventory.count(id) > 0);
      await sleep(isFull ? 50 : 500, undefined, { signal });
      const asked = performance.now();
      const service = await urlOfLiving();
      if (!service) return { at: asked, problem: 'no process is left that works' };
      const statuses = await readStatuses(service, signal).catch(() => undefined);
      if (!statuses) continue;
      const open = customerIds
        .map((id) => statuses.get(id) ?? 'not ingested')
        .filter((status) => status !== 'delivered');
      if (open.length === 0) return { at: asked, problem: undefined };
      seen = [...new Set(open)].map((s) => `${open.filter((o) => o === s).length} ${s}`).join(', ');
      if (open.every((status) => status === 'dead')) break;
    }
    return { at: performance.now(), problem: `not all was delivered: ${seen}` };
  }

  const rest = parts.move();
  return {
    crm,
    inventory,
    folder,
    children,
    start,
    untilDone,
    async historyOf(customerId) {
      const service = await urlOfLiving();
      if (!service) return ['no process is left that could be asked'];
      return readHistory(service, customerId, signal).catch((error: Error) => [error.message]);
    },
    keep() {
      isKept = true;
      return options.ledger
        ? `${folder}, database ${new URL(ledger.url).pathname.slice(1)}`
        : folder;
    },
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}
