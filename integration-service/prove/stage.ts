import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, type Crash, startChild } from './child-process.ts';
import type { Kill } from './kill-point.ts';
import { createPostgresLedger, createSqliteLedger } from './ledger.ts';
import type { Limit } from './limit.ts';
import type { ServiceProcess, Setting, Systems } from './proof.ts';
import { createRandom } from './random.ts';

/** What all cells of a run share. */
export interface StageOptions {
  seed: number;
  /** Contains one folder per stage. */
  folder: string;
  /** A PostgreSQL server; without it, ledgers are SQLite files. */
  ledger?: string | undefined;
  /** Number of processes that share a ledger. */
  replicas: number;
  /** Limits concurrent starts, so that a start takes as long as on a machine that is not overloaded. */
  starts: Limit;
  signal: AbortSignal;
}

/** The systems at both ends of a flow, a ledger, and processes of the service that work for them. */
export interface Stage extends AsyncDisposable {
  systems: Systems;
  /** The environment of the service. */
  env: Record<string, string>;
  /** In start order. */
  children: Child[];
  /** Those that run. */
  alive(): Child[];
  /**
   * Starts processes until as many run as share the ledger; resolves when all have been spawned. If several get
   * the same kill, one of them dies.
   */
  startMissing(kill?: Kill): Promise<void>;
  /** Keeps logs and ledger when the stage is disposed of; returns where they are. */
  keep(): string;
}

const TIMEOUT_MS = 1_000;

const environment = {
  INTEGRATION_SERVICE_PORT: '0',
  POLLING_INTERVAL_SECONDS: '0.2',
  REQUEST_TIMEOUT_SECONDS: String(TIMEOUT_MS / 1000),
  RETRY_DELAY_SECONDS: '0.1',
  // Fewer than records, so that some wait while others are under way.
  DELIVERY_CONCURRENCY: '4',
  LOG_FORMAT: 'json',
};

/** Sets up a stage. Disposing of it kills its processes and removes everything. */
export async function setStage(
  setting: Setting & { name: string },
  options: StageOptions,
): Promise<Stage> {
  const { seed, replicas, signal } = options;
  await using parts = new AsyncDisposableStack();
  const folder = join(options.folder, setting.name.replaceAll('/', '-'));
  mkdirSync(folder);
  let isKept = false;
  parts.defer(() => {
    if (!isKept) rmSync(folder, { recursive: true, force: true });
  });
  const ledger = options.ledger
    ? await createPostgresLedger(options.ledger)
    : createSqliteLedger(folder);
  parts.defer(() => (isKept && !signal.aborted ? undefined : ledger.drop()));
  const children: Child[] = [];
  const alive = () => children.filter((child) => !child.end);
  const systems = await setting.proof.open(setting, {
    ...{ cleanUp: parts, timeoutMs: TIMEOUT_MS, folder, ledger, restart, untilListening, signal },
    random: createRandom(`${seed} ${setting.name}, systems`),
    serviceUrls: () => alive().flatMap(({ url }) => url ?? []),
    kill: (process) => void children[process]?.kill(),
  });
  parts.defer(async () => {
    await Promise.all(children.map((child) => child.kill()));
  });
  const env = {
    ...environment,
    FLOWS: setting.proof.flow,
    LEDGER_URL: ledger.url,
    NODE_COMPILE_CACHE: join(options.folder, 'compile-cache'),
  };

  async function startMissing(kill?: Kill): Promise<void> {
    const missing = replicas - alive().length;
    const number = children.length;
    // Only the target or only the processes will reach the step.
    if (kill) systems.arm(kill, number);
    const crash = kill && { ...kill, ticket: join(folder, `killed-${number}`) };
    await Promise.all(Array.from({ length: missing }, () => start(crash)));
  }

  async function start(crash: Crash | undefined): Promise<void> {
    // Replacements go first: what a killed process left behind must not age before another process sees it.
    const turn = await options.starts({ isUrgent: children.length >= replicas });
    signal.throwIfAborted();
    const number = children.length;
    const logFile = join(folder, `service-${number}.log`);
    const child = startChild({ env: { ...env, ...systems.envOf(number) }, crash, logFile });
    children.push(child);
    void child.listening.then(() => turn[Symbol.dispose]());
  }

  async function restart(meanwhile: () => Promise<void>): Promise<number> {
    await Promise.all(alive().map((child) => child.kill()));
    await meanwhile();
    const first = children.length;
    await startMissing();
    await untilListening();
    return first;
  }

  async function untilListening(): Promise<ServiceProcess[]> {
    for (;;) {
      signal.throwIfAborted();
      const listening = children.flatMap(({ url, end }, number) =>
        url && !end ? { url, number } : [],
      );
      const starting = alive().filter(({ url }) => !url);
      if (listening.length > 0 || starting.length === 0) return listening;
      await Promise.race(starting.map((child) => child.listening));
    }
  }

  const rest = parts.move();
  return {
    ...{ systems, env, children, alive, startMissing },
    keep() {
      isKept = true;
      return ledger.name ? `${folder}, database ${ledger.name}` : folder;
    },
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}
