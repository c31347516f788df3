import type { Logger } from 'service-kit/logger';
import type { Readiness } from 'service-kit/operations';
import type { Clocks } from '../clocks.ts';
import type { Flow, PolledSource, Reading } from '../flow.ts';
import { INGEST_RESULTS, type Ledger, type Progress, type SourceId } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import { nameSome } from '../name-some.ts';
import { createCycleLog } from './cycle-log.ts';
import type { ChunkOptions, Ingest } from './ingest.ts';
import type { PollMetrics } from './metrics.ts';
import { createPollHealth } from './poll-health.ts';
import { createPollLease } from './poll-lease.ts';
import type { SurgeGuard } from './surge-guard.ts';
import { describeUnusable, uselessness } from './unusable-records.ts';

export interface PollerOptions extends Clocks {
  flow: Pick<Flow, 'name'>;
  source: PolledSource;
  ledger: Ledger;
  ingest: Ingest;
  guard: SurgeGuard;
  metrics: (of: SourceId) => PollMetrics;
  log: Logger;
}

export interface Poller {
  source: PolledSource;
  /**
   * Polls at once, and then until it is stopped. Call it once. Rejects when the disk of the ledger reports
   * errors, or when our code fails.
   */
  run(): Promise<void>;
  /**
   * Polls as soon as the poll under way is over, also when another replica has the lease, because a person
   * asks for it. Returns until when that is not possible, because the system is paused, Unix time in
   * milliseconds; `undefined` otherwise.
   */
  pollNow(): number | undefined;
  /** Starts nothing new, and aborts a poll under way. Harmless before `run` and when called again. */
  stop(): Promise<void>;
  /** One cycle: reads the source, writes down what is new. Logs a failed poll; throws other errors. */
  runCycle(): Promise<void>;
  /**
   * Ready when a poll, by this or another replica, succeeded within the last three intervals, and the last
   * list had a record that can be used.
   */
  checkReadiness(): Readiness;
}

/** What a source shows, to be taken in. */
type Shown = Extract<Reading, { kind: 'items' | 'records' }>;
type Comparison = Extract<Reading, { kind: 'compared' }>;

/** The longest wait between polls while the source refuses our credentials. */
const MAX_REFUSED_WAIT_MS = 300_000;
/** The maximum number of held deliveries that are read for a reminder. */
const MOST_READ = 1_000;

/** How often the poller checks whether another process was told to wait, or accepted unusable records. */
const REFRESH_MS = 1_000;

/** Writes every record of a source into the ledger. Cycles never overlap. */
export function createPoller(options: PollerOptions): Poller {
  const { flow, source, ledger, ingest, guard, log, now, monotonicNow } = options;
  const { system, noun, pause, intervalMs, sweepIntervalMs, cycle = 'Polling cycle' } = source;
  const of = { flow: flow.name, source: source.name };
  const metrics = options.metrics(of);
  const cycleLog = createCycleLog({ log, cycle, noun, monotonicNow });
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  const health = createPollHealth(options);
  let refusals = 0;
  let isAsked = false;
  let wake = () => {};
  let refreshedAt = Number.NEGATIVE_INFINITY;
  const lease = createPollLease({ of, ledger, intervalMs, now, onError: report });

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const isForced = isAsked;
      isAsked = false;
      const waitMs = await runWithLease(isForced);
      if (!isAsked && !stopping.signal.aborted) await rest(waitMs);
    }
    await lease.release(health.succeededAt()).catch(report);
  }

  function rest(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
    return promise;
  }

  /**
   * Runs a cycle when this replica gets the lease, or when it is forced; returns how long to wait for the next,
   * in milliseconds.
   */
  async function runWithLease(isForced: boolean): Promise<number> {
    try {
      await refresh();
      const taken = await lease.take(health.succeededAt());
      if (taken.kind === 'taken') {
        if (taken.polledAt !== null) health.succeeded(now() - taken.polledAt);
        // Two replicas that poll at the same time find the same records, of which the ledger takes one each.
        if (isForced && pause.waitMs() === 0) await runCycle();
        return Math.min(Math.max(taken.waitMs, 10), intervalMs);
      }
      if (pause.waitMs() === 0) await lease.keepWhile(() => runCycle(taken));
      if (stopping.signal.aborted) return 0;
      await lease.end(waitMs(), health.succeededAt());
      return waitMs();
    } catch (error) {
      if (error === stopping.signal.reason) return 0;
      report(error);
      return Math.min(intervalMs, 1_000);
    }
  }

  /** Reads what other processes have written; at most every `REFRESH_MS`, to keep frequent idle polls cheap. */
  async function refresh(): Promise<void> {
    if (monotonicNow() - refreshedAt < REFRESH_MS) return pause.save();
    refreshedAt = monotonicNow();
    await countUnaccepted();
    await pause.refresh();
  }

  /** Ignores an error of a ledger that may recover, because the ledger logs it itself; rethrows any other. */
  function report(error: unknown): void {
    if (!(error instanceof LedgerError) || error.fault === 'failing') throw error;
  }

  function waitMs(): number {
    const refusedMs = refusals && Math.min(intervalMs * 2 ** refusals, MAX_REFUSED_WAIT_MS);
    // Rounded up to whole seconds, because a timer may fire early.
    const pausedMs = pause.waitMs() && Math.ceil((pause.waitMs() + 1) / 1_000) * 1_000;
    return Math.max(intervalMs, refusedMs, pausedMs);
  }

  async function runCycle(progress?: Progress): Promise<void> {
    await cycleLog.run(async () => pollOnce(progress ?? (await ledger.readProgress(of))));
  }

  async function pollOnce(progress: Progress): Promise<void> {
    const { info, warn } = cycleLog.log;
    info(`--- ${cycle} started ---`);
    const from = beginning(progress);
    const reading = await read(from);
    if (stopping.signal.aborted) return;
    if (reading.kind === 'failed') {
      if (from !== undefined) await ledger.forgetPosition(of);
      warn(`Skipping processing cycle due to ${system} API fetch failure.`);
    } else if (reading.kind === 'unchanged') info(`No new ${noun}s found.`);
    else if (reading.kind === 'compared') await noteComparison(reading);
    else await record(reading, from);
    if (stopping.signal.aborted) return;
    if (reading.kind !== 'failed' && guard.limit !== undefined) await remindOfHeld(guard.limit);
    info(`--- ${cycle} finished. Waiting for ${waitMs() / 1000} seconds. ---`);
  }

  /** Where to read on; `undefined` when the whole list must be read. */
  function beginning({ position, sweptAt = 0 }: Progress): unknown {
    const age = now() - sweptAt;
    // A negative age means that a clock was wrong.
    return age < 0 || age >= sweepIntervalMs ? undefined : position;
  }

  async function read(from: unknown): Promise<Reading> {
    const observe = metrics.startTimer();
    const reading = await source.read(from, stopping.signal, cycleLog.log);
    if (stopping.signal.aborted) return reading;
    observe();
    const isFailed = reading.kind === 'failed';
    if (isFailed && reading.throttled) {
      pause.begin(reading.reason, reading.throttled.retryAfterMs);
      await pause.save();
    }
    // A generator would be empty after the first look at it, and what it had shown would be lost.
    if (reading.kind === 'items' && Object.is(reading.items[Symbol.iterator](), reading.items)) {
      throw new Error(`The items of ${flow.name}/${source.name} can be read only once.`);
    }
    const isShown = reading.kind === 'items' || reading.kind === 'records';
    const useless = isShown ? uselessness(reading, system) : undefined;
    refusals = isFailed && reading.isUnauthorized ? refusals + 1 : 0;
    metrics.ended(!isFailed && useless === undefined);
    if (isFailed) health.failed(reading.reason);
    else if (useless === undefined) health.succeeded();
    else {
      health.failed(useless, true);
      cycleLog.log.warn(useless);
    }
    return reading;
  }

  async function record(reading: Shown, from: unknown) {
    const { position, isWhole, invalidCount } = reading;
    // Before the position is stored, because these records are not read again after that.
    await reject(reading);
    const isUseless = uselessness(reading, system) !== undefined;
    const isNew = JSON.stringify(position) !== JSON.stringify(from);
    const isFurther = isNew || (isWhole && from !== undefined);
    const options: ChunkOptions = {
      ...{ signal: stopping.signal, onFresh: cycleLog.show },
      // A list without a usable record is read again from its beginning, until it has one.
      ...(isFurther &&
        !isUseless && {
          together: (transaction) =>
            ledger.writeProgress(transaction, of, { position, isWhole }, now()),
        }),
    };
    const counts =
      reading.kind === 'records'
        ? await ingest.chunks(reading.chunks, options)
        : await ingest.list(reading.items, { ...options, noun, guard });
    const isAnyNew = counts.new + counts.held > 0;
    if (isAnyNew) cycleLog.show();
    for (const result of INGEST_RESULTS) metrics.saw(result, counts[result]);
    metrics.saw('invalid', invalidCount);
    if (!isAnyNew && !isUseless) cycleLog.log.info(`No new ${noun}s found.`);
  }

  async function noteComparison({ position, differences }: Comparison): Promise<void> {
    if (differences > 0) cycleLog.show();
    else cycleLog.log.info(`No new ${noun}s found.`);
    await ledger.within((transaction) =>
      ledger.writeProgress(transaction, of, { position, isWhole: true }, now()),
    );
  }

  /** Writes the unusable records of a poll into the ledger, and logs each of them once. */
  async function reject({ invalid, isWhole }: Shown): Promise<void> {
    // A position among the records since the last poll says nothing about the position in the list.
    const records = isWhole ? invalid : invalid.map((each) => ({ ...each, position: null }));
    const rejected = await ledger.reject(of, records, now());
    if (rejected.length === 0) return;
    await countUnaccepted();
    const { warn } = cycleLog.log;
    for (const each of rejected.slice(0, 10)) warn(`Skipping a record: ${describeUnusable(each)}.`);
    if (rejected.length > 10) warn(`Skipping ${rejected.length - 10} more such record(s).`);
  }

  /** Counts the records that are not accepted: an audit may have accepted some meanwhile. */
  async function countUnaccepted(): Promise<void> {
    health.unaccepted(await ledger.countUnaccepted(of));
  }

  async function remindOfHeld(limit: number): Promise<void> {
    const some = await ledger.list({ flow: flow.name, status: 'held' }, MOST_READ);
    // A delivery that was attempted is held for another reason, which has been logged.
    const fresh = some.filter(({ attempts }) => attempts === 0);
    if (fresh.length === 0) return;
    const { held } = await ledger.countByStatus(flow.name);
    const count = held - (some.length - fresh.length);
    const keys = fresh.map(({ key }) => key);
    log.warn(
      `Holding ${count} ${noun}s back (${nameSome(keys, count)}): more than SURGE_LIMIT (${limit}) new ones came at once. Release them with POST /deliveries/release.`,
    );
  }

  return {
    source,
    run() {
      running = loop();
      return running;
    },
    pollNow() {
      if (pause.waitMs() > 0) return pause.until();
      isAsked = true;
      wake();
      return undefined;
    },
    async stop() {
      stopping.abort();
      wake();
      await running?.catch(() => {});
    },
    runCycle: () => runCycle(),
    checkReadiness: health.readiness,
  };
}
