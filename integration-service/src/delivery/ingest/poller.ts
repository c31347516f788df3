import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import type { Readiness } from 'service-kit/operations';
import type { CrmClient, Poll } from '../../systems/crm/client.ts';
import { type Position, positionSchema } from '../../systems/crm/position.ts';
import { WELCOME_PACKAGE } from '../../systems/inventory/client.ts';
import type { Pause } from '../dispatch/pauses.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import type { ReadProgress } from '../ledger/legs.ts';
import { LEASE_MS } from '../ledger/work.ts';
import { nameSome } from '../name-some.ts';
import type { CycleLog } from './cycle-log.ts';
import type { PollerMetrics } from './metrics.ts';
import { createPollHealth } from './poll-health.ts';
import { createTurns } from './poll-lease.ts';
import type { SightCustomers } from './sight.ts';
import { createUnusableRecords, uselessness } from './unusable-records.ts';

export interface PollerOptions {
  crm: CrmClient;
  /** The pause of the CRM: the CRM is not polled before the pause ends. */
  pause: Pause;
  ledger: Ledger;
  sight: SightCustomers;
  metrics: PollerMetrics;
  /** Shared with the CRM client, because the client's lines belong to the same cycle. */
  cycleLog: CycleLog;
  log: Logger;
  pollingIntervalMs: number;
  /** How often the whole list is read, even if polls can read only what is new. */
  sweepIntervalMs: number;
  /** More new customers than this in one poll are held. Default: no limit. */
  surgeLimit?: number | undefined;
  /** Unix time in milliseconds. */
  now: () => number;
}

export interface Poller {
  /**
   * Polls at once, and then until it is stopped. Call it once. Rejects when the disk of the ledger reports
   * errors, or when our code fails.
   */
  run(): Promise<void>;
  /** Starts nothing new, and aborts a poll under way. Harmless before `run` and when called again. */
  stop(): Promise<void>;
  /** One cycle: fetches the customers, writes down the new ones. Logs a failed poll; throws other errors. */
  runCycle(): Promise<void>;
  /**
   * Ready when a poll, by this or another replica, succeeded within the last three intervals, and the last
   * list had a record that can be used.
   */
  checkReadiness(): Readiness;
}

/** The longest wait between polls while the CRM refuses our credentials. */
const MAX_REFUSED_WAIT_MS = 300_000;
/** The maximum number of held deliveries that are read for a reminder. */
const MOST_LOOKED_AT = 1_000;

/** How often the poller checks whether another process was told to wait, or accepted unusable records. */
const LOOK_MS = 1_000;

/** Writes every customer of the CRM into the ledger. Cycles never overlap. */
export function createPoller(options: PollerOptions): Poller {
  const { crm, pause, ledger, metrics, cycleLog, log } = options;
  const { pollingIntervalMs, sweepIntervalMs, surgeLimit, now } = options;
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  const health = createPollHealth(options);
  const unusableRecords = createUnusableRecords({ ...options, health });
  let refusals = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  const turns = createTurns({
    leg: WELCOME_PACKAGE,
    ledger,
    // No replica writes a turn longer than half of this; the clocks of replicas differ a bit.
    maxMs: 2 * Math.max(pollingIntervalMs, LEASE_MS),
    now,
    onError: report,
  });

  async function loop(): Promise<void> {
    log.info('Integration service started.');
    while (!stopping.signal.aborted) {
      const waitMs = await runInTurn();
      await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
    await turns.release(health.succeededAtTime()).catch(report);
  }

  /** Runs a cycle when it is this replica's turn; returns how long to wait for the next, in milliseconds. */
  async function runInTurn(): Promise<number> {
    try {
      await lookAtLedger();
      const turn = await turns.take(health.succeededAtTime());
      if (!turn.isMine) {
        if (turn.polledAt !== null) health.succeededAt(turn.polledAt);
        return Math.min(Math.max(turn.waitMs, 10), pollingIntervalMs);
      }
      if (pause.waitMs() === 0) await turns.keepWhile(() => runCycle(turn));
      if (stopping.signal.aborted) return 0;
      // If the CRM refuses our credentials, other replicas may try again sooner than this process.
      const othersMs = Math.min(waitMs(), Math.max(pollingIntervalMs, LEASE_MS));
      await turns.end({ waitMs: waitMs(), othersMs, polledAt: health.succeededAtTime() });
      return waitMs();
    } catch (error) {
      if (error === stopping.signal.reason) return 0;
      report(error);
      return Math.min(pollingIntervalMs, 1_000);
    }
  }

  /** Reads what other processes have written; at most every `LOOK_MS`, to keep frequent idle polls cheap. */
  async function lookAtLedger(): Promise<void> {
    if (performance.now() - lookedAt < LOOK_MS) return pause.save();
    lookedAt = performance.now();
    await unusableRecords.count();
    await pause.refresh();
  }

  /** Ignores an error of a ledger that may recover, because the ledger logs it itself; rethrows any other. */
  function report(error: unknown): void {
    if (!(error instanceof LedgerError) || error.fault === 'failing') throw error;
  }

  function waitMs(): number {
    const refusedMs = refusals && Math.min(pollingIntervalMs * 2 ** refusals, MAX_REFUSED_WAIT_MS);
    // Rounded up to whole seconds, because a timer may fire early.
    const pausedMs = pause.waitMs() && Math.ceil((pause.waitMs() + 1) / 1_000) * 1_000;
    return Math.max(pollingIntervalMs, refusedMs, pausedMs);
  }

  async function runCycle(progress?: ReadProgress): Promise<void> {
    cycleLog.begin();
    try {
      await pollOnce(progress ?? (await ledger.readProgress(WELCOME_PACKAGE)));
    } catch (error) {
      cycleLog.show();
      throw error;
    } finally {
      cycleLog.end();
    }
  }

  async function pollOnce(progress: ReadProgress): Promise<void> {
    const { info, warn } = cycleLog.log;
    info('--- Polling cycle started ---');
    const from = beginning(progress);
    const poll = await fetch(from);
    if (stopping.signal.aborted) return;
    if (poll === undefined && from) await ledger.forgetPosition(WELCOME_PACKAGE);
    if (poll === undefined) warn('Skipping processing cycle due to CRM API fetch failure.');
    else if (poll === 'unchanged') info('No new customers found.');
    else await record(poll, from);
    if (stopping.signal.aborted) return;
    if (poll && surgeLimit !== undefined) await remindOfHeld(surgeLimit);
    info(`--- Polling cycle finished. Waiting for ${waitMs() / 1000} seconds. ---`);
  }

  /** Where to read on; `undefined` when the whole list must be read. */
  function beginning({ position, sweptAt = 0 }: ReadProgress): Position | undefined {
    const age = now() - sweptAt;
    // A negative age means that a clock was wrong.
    if (age < 0 || age >= sweepIntervalMs) return undefined;
    return positionSchema.safeParse(position).data;
  }

  async function fetch(from: Position | undefined): Promise<Poll | 'unchanged' | undefined> {
    const observe = metrics.pollDuration.startTimer();
    const result = await crm.poll(from, stopping.signal);
    if (stopping.signal.aborted) return undefined;
    observe();
    const isFailed = result !== 'unchanged' && 'kind' in result;
    const useless = result !== 'unchanged' && !isFailed && uselessness(result);
    refusals = isFailed && result.kind === 'refused' ? refusals + 1 : 0;
    metrics.polls.inc({ result: isFailed || useless ? 'failure' : 'success' });
    if (isFailed) {
      health.failed(result.reason);
      return undefined;
    }
    if (useless) {
      health.uselessList(useless);
      cycleLog.log.warn(useless);
    } else {
      metrics.lastSuccessfulPoll.setToCurrentTime();
      health.succeeded();
    }
    return result;
  }

  async function record(poll: Poll, from: Position | undefined) {
    const { customers, position, isWhole } = poll;
    // Before the position is stored, because these records are not read again after that.
    await unusableRecords.reject(poll);
    const isUseless = uselessness(poll) !== undefined;
    const isNew = JSON.stringify(position) !== JSON.stringify(from);
    const isFurther = isNew || (isWhole && from !== undefined);
    const { fresh, held, known } = await options.sight(customers, {
      surgeLimit,
      // A list without a usable record is read again from its beginning, until it has one.
      progress: isFurther && !isUseless ? { position, isWhole } : undefined,
      signal: stopping.signal,
      onFresh: cycleLog.show,
    });
    if (fresh + held > 0) cycleLog.show();
    const seen = metrics.customersSeen;
    seen.inc({ result: 'new' }, fresh);
    seen.inc({ result: 'held' }, held);
    seen.inc({ result: 'invalid' }, customers.unusableCount);
    seen.inc({ result: 'known' }, known);
    if (fresh + held === 0 && !isUseless) cycleLog.log.info('No new customers found.');
  }

  async function remindOfHeld(limit: number): Promise<void> {
    const some = await ledger.list({ leg: WELCOME_PACKAGE, status: 'held' }, MOST_LOOKED_AT);
    // A delivery that was attempted is held for another reason, which has been logged.
    const fresh = some.filter(({ attempts }) => attempts === 0);
    if (fresh.length === 0) return;
    const { held } = await ledger.countByStatus(WELCOME_PACKAGE);
    const count = held - (some.length - fresh.length);
    const names = nameSome(
      fresh.map(({ key }) => key),
      count,
    );
    log.warn(
      `Holding ${count} customers back (${names}): more than SURGE_LIMIT (${limit}) new ones came at once. Release them with POST /deliveries/release.`,
    );
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
    checkReadiness: health.readiness,
  };
}
