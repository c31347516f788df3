import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import type { Readiness } from 'service-kit/operations';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { LedgerError } from '../delivery/ledger/ledger-error.ts';
import type { ReadProgress } from '../delivery/ledger/legs.ts';
import { LEASE_MS } from '../delivery/ledger/work.ts';
import { createTurns } from '../delivery/turns.ts';
import type { PollerMetrics } from '../metrics.ts';
import type { CrmClient, Poll } from './crm-client.ts';
import type { CustomerList } from './customer-list.ts';
import { WELCOME_PACKAGE } from './inventory-client.ts';
import { type Position, positionSchema } from './position.ts';
import type { SightCustomers } from './sight.ts';

export interface PollerOptions {
  crm: CrmClient;
  ledger: Ledger;
  sight: SightCustomers;
  metrics: PollerMetrics;
  log: Logger;
  pollingIntervalMs: number;
  /** How often the whole list is read although the CRM leads to what is new. */
  sweepIntervalMs: number;
  /** More new customers than this in one poll are held. Default: any number is fine. */
  surgeLimit?: number | undefined;
  /** Unix time in milliseconds. */
  now: () => number;
}

export interface Poller {
  /**
   * Polls until it is stopped, beginning at once. Call it once. Rejects when the disk of the ledger
   * reports errors, or with an error of our own.
   */
  run(): Promise<void>;
  /** Begins nothing new; a poll under way is dropped. Harmless before `run` and when called again. */
  stop(): Promise<void>;
  /** One cycle: fetch the customers, write down who is new. What fails is logged. */
  runCycle(): Promise<void>;
  /** Ready when a poll, by this or another replica, succeeded within the last three intervals. */
  checkReadiness(): Readiness;
}

/** How long the CRM is left alone at the most when it does not let us in. */
const MAX_REFUSED_WAIT_MS = 300_000;

/** Sees to it that every customer of the CRM gets into the ledger. Cycles never overlap. */
export function createPoller(options: PollerOptions): Poller {
  const { crm, ledger, metrics, log, pollingIntervalMs, sweepIntervalMs, surgeLimit, now } =
    options;
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let polledAtMs = Number.NEGATIVE_INFINITY;
  let refusals = 0;
  const turns = createTurns({
    leg: WELCOME_PACKAGE,
    ledger,
    maxMs: Math.max(pollingIntervalMs, MAX_REFUSED_WAIT_MS, LEASE_MS),
    now,
    onError: report,
  });

  async function loop(): Promise<void> {
    log.info('Integration service started.');
    while (!stopping.signal.aborted) {
      const waitMs = await runInTurn();
      await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
    await turns.release(polledAt()).catch(report);
  }

  /** Runs a cycle when it is this replica's turn; returns how long to wait for the next. */
  async function runInTurn(): Promise<number> {
    try {
      const turn = await turns.take(polledAt());
      if (!turn.isMine) {
        if (turn.polledAt !== null) polledAtMs = performance.now() - (now() - turn.polledAt);
        return Math.min(Math.max(turn.waitMs, 10), pollingIntervalMs);
      }
      await turns.keepWhile(() => runCycle(turn));
      if (stopping.signal.aborted) return 0;
      // Others may try sooner than a CRM that does not let us in is tried again by this process.
      const othersMs = Math.min(waitMs(), Math.max(pollingIntervalMs, LEASE_MS));
      await turns.end({ waitMs: waitMs(), othersMs, polledAt: polledAt() });
      return waitMs();
    } catch (error) {
      if (error === stopping.signal.reason) return 0;
      report(error);
      return Math.min(pollingIntervalMs, 1_000);
    }
  }

  function polledAt(): number | undefined {
    const ago = performance.now() - polledAtMs;
    return Number.isFinite(ago) ? Math.round(now() - ago) : undefined;
  }

  /** The ledger says itself what is wrong with it. */
  function report(error: unknown): void {
    if (!(error instanceof LedgerError) || error.fault === 'failing') throw error;
  }

  function waitMs(): number {
    if (refusals === 0) return pollingIntervalMs;
    const longer = Math.min(pollingIntervalMs * 2 ** refusals, MAX_REFUSED_WAIT_MS);
    return Math.max(pollingIntervalMs, longer);
  }

  async function runCycle(progress?: ReadProgress): Promise<void> {
    log.info('--- Polling cycle started ---');
    const from = beginning(progress ?? (await ledger.readProgress(WELCOME_PACKAGE)));
    const poll = await fetch(from);
    if (stopping.signal.aborted) return;
    if (poll === undefined && from) await ledger.forgetPosition(WELCOME_PACKAGE);
    if (poll === undefined) log.warn('Skipping processing cycle due to CRM API fetch failure.');
    else if (poll === 'unchanged') log.info('No new customers found.');
    else await record(poll, from);
    if (stopping.signal.aborted) return;
    if (poll && surgeLimit !== undefined) await remindOfHeld(surgeLimit);
    log.info(`--- Polling cycle finished. Waiting for ${waitMs() / 1000} seconds. ---`);
  }

  /** Where to read on; `undefined` when it is time to read the whole list. */
  function beginning({ position, sweptAt = 0 }: ReadProgress): Position | undefined {
    const age = now() - sweptAt;
    // Swept in the future: a clock was wrong.
    if (age < 0 || age >= sweepIntervalMs) return undefined;
    return positionSchema.safeParse(position).data;
  }

  async function fetch(from: Position | undefined): Promise<Poll | 'unchanged' | undefined> {
    const observe = metrics.pollDuration.startTimer();
    const result = await crm.poll(from, stopping.signal);
    if (stopping.signal.aborted) return undefined;
    observe();
    const isSuccess = result !== 'failed' && result !== 'refused';
    refusals = result === 'refused' ? refusals + 1 : 0;
    metrics.polls.inc({ result: isSuccess ? 'success' : 'failure' });
    if (!isSuccess) return undefined;
    metrics.lastSuccessfulPoll.setToCurrentTime();
    polledAtMs = performance.now();
    return result;
  }

  async function record({ customers, position, isWhole }: Poll, from: Position | undefined) {
    const { unusable, unusableCount } = customers;
    // First, because with the position of these behind them, nobody looks at them again.
    await reject(unusable);
    const isNew = JSON.stringify(position) !== JSON.stringify(from);
    const isFurther = isNew || (isWhole && from !== undefined);
    const { fresh, held, known } = await options.sight(customers, {
      surgeLimit,
      progress: isFurther ? { position, isWhole } : undefined,
      signal: stopping.signal,
    });
    const seen = metrics.customersSeen;
    seen.inc({ result: 'new' }, fresh);
    seen.inc({ result: 'held' }, held);
    seen.inc({ result: 'invalid' }, unusableCount);
    seen.inc({ result: 'known' }, known);
    if (fresh + held === 0) log.info('No new customers found.');
  }

  async function remindOfHeld(limit: number): Promise<void> {
    const isAnyHeld = (await ledger.list({ leg: WELCOME_PACKAGE, status: 'held' }, 1)).length > 0;
    if (!isAnyHeld) return;
    const { held } = await ledger.countByStatus(WELCOME_PACKAGE);
    log.warn(
      `Holding ${held} customers back: more than SURGE_LIMIT (${limit}) new ones came at once. Release them with POST /deliveries/release.`,
    );
  }

  async function reject(unusable: CustomerList['unusable']): Promise<void> {
    const rejected = await ledger.reject(WELCOME_PACKAGE, unusable, now());
    for (const { position, reason, record } of rejected.slice(0, 10)) {
      log.warn(
        `Skipping the record at position ${position} of the list: ${reason}. ${record.slice(0, 120)}`,
      );
    }
    if (rejected.length > 10) log.warn(`Skipping ${rejected.length - 10} more such record(s).`);
  }

  return {
    run() {
      running = loop();
      return running;
    },
    async stop() {
      stopping.abort();
      await running?.catch(() => {});
    },
    runCycle: () => runCycle(),
    checkReadiness() {
      if (performance.now() - polledAtMs <= 3 * pollingIntervalMs) return { ready: true };
      const seconds = (3 * pollingIntervalMs) / 1000;
      return {
        ready: false,
        reason: `No poll of the CRM succeeded in the last ${seconds} seconds.`,
      };
    },
  };
}
