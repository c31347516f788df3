import type { Claim } from '../delivery.ts';
import type { Result } from '../engine-event.ts';
import { LedgerError } from '../ledger/ledger-error.ts';
import { nameSome } from '../name-some.ts';
import type { Outcome } from '../outcome.ts';
import type { Sent } from '../target.ts';
import { afterAttempt, unclaimed } from '../transition.ts';
import { createAdoption } from './adopt.ts';
import type { DispatcherOptions } from './dispatcher-options.ts';
import type { Permit } from './gate.ts';
import { createLeases } from './leases.ts';
import { createQueue } from './queue.ts';
import { createResults } from './results.ts';
import { createSettler } from './settle.ts';
import { tellGate } from './tell-gate.ts';

export interface Dispatcher {
  /** Call it once. Rejects when the disk of the ledger reports errors, or with an error of our own. */
  run(): Promise<void>;
  /** Wakes the loop: there is something new to do. */
  wake(): void;
  /**
   * Begins nothing new and resolves when the calls under way have ended and their results are committed.
   * Calls that take longer than `graceMs` (default: 5.5 s) are aborted. Deliveries whose results cannot be
   * written to the ledger within another half second are settled by the next process.
   */
  stop(options?: { graceMs?: number }): Promise<void>;
}

/**
 * How often the loop looks at the ledger without being woken, because other processes may write to it, too.
 */
const TICK_MS = 1_000;
/** How long `stop` lets calls under way finish: within the 7 s that a whole stop may take. */
const STOP_GRACE_MS = 5_500;
/** How long `stop` then tries to write the results. */
const LAST_WORDS_MS = 500;

/** How long results wait for others to be committed with them, unless there is nothing else to do. */
const COMMIT_DELAY_MS = 20;
/** How often the loop looks for deliveries to settle while there is much to send. */
const SETTLE_EVERY_MS = 100;
/** How often the loop looks for waits that another process wrote under a wrong clock. */
const RECOUNT_MS = 60_000;
/** The wall clock has gone back when it lost more than this against the monotonic clock. */
const CLOCK_BACK_MS = 1_000;

/**
 * Claims a flow's due deliveries in the ledger, sends them, and writes their results down. One loop does all the
 * writing: results that arrive during a transaction are written in the next one. The loop claims more than
 * it can send at once, because a transaction takes as long as many calls; but only as much as it sends in a
 * moment, because every delivery that is claimed when the process dies must be settled.
 */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { ledger, gate, log, now, monotonicNow, random, onEvent } = options;
  const { name: flow, target, policy } = options.flow;
  const { concurrency, order, batch } = policy;
  const stopping = new AbortController();
  const cutOff = new AbortController();
  const leases = createLeases(options);
  const results = createResults({ ...options, leases });
  const adoption = createAdoption({ ...options, signal: stopping.signal });
  const settler = createSettler({
    ...options,
    leases,
    signal: cutOff.signal,
    onSettled(settled) {
      results.add(settled);
      wake();
    },
  });
  const queue = createQueue({ concurrency, atMost: batch.atMost, monotonicNow });
  /** Default: whatever is due is sent. */
  const batchRule = batch.size > 1 ? batch : undefined;
  let running: Promise<void> | undefined;
  let sending = 0;
  let settledAt = Number.NEGATIVE_INFINITY;
  let settlesFirst = false;
  let recoveredAt = Number.NEGATIVE_INFINITY;
  let recountedAt = Number.NEGATIVE_INFINITY;
  /** By how much the wall clock is ahead of the monotonic one. */
  let clockAheadMs = now() - monotonicNow();
  let hasGivenUp = false;
  let alarm = Promise.withResolvers<void>();
  let soon: NodeJS.Timeout | undefined;

  async function loop(): Promise<void> {
    if (ledger.isAlone && !stopping.signal.aborted) await attempt(() => recover({ isAlone: true }));
    for (;;) {
      const restMs = await attempt(round);
      if (hasGivenUp || (stopping.signal.aborted && leases.count() === 0)) return;
      await rest(restMs ?? TICK_MS);
    }
  }

  /** Runs something that may fail because of the ledger, which logs its own errors. */
  async function attempt<Value>(run: () => Promise<Value>): Promise<Value | undefined> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof LedgerError) || error.fault === 'failing') throw error;
      return undefined;
    }
  }

  /** Does everything that can be done now; returns how long to wait unless woken, in milliseconds. */
  async function round(): Promise<number> {
    if (stopping.signal.aborted || gate.isProbing() || gate.waitMs() > 0) giveBack();
    await results.commit();
    await gate.pause.save();
    await leases.renew();
    if (stopping.signal.aborted) return TICK_MS;
    await recount();
    if (adoption.isDone() && sending === 0 && queue.isEmpty()) {
      const { isIdle, dueAt } = await ledger.peek(flow, now());
      if (isIdle) return untilDue(dueAt);
    }
    if (monotonicNow() - recoveredAt >= TICK_MS) {
      await recover({ isAlone: false });
      recoveredAt = monotonicNow();
    }
    // Read before looking for due deliveries: those that are not claimed because of the block are due when
    // it ends.
    const isBlocked = gate.waitMs() > 0;
    if (!(await adoption.ensure())) return TICK_MS;
    // When the target gets a single call, whichever runs first uses it: settling and claiming take turns.
    if (gate.capacity() === 1) settlesFirst = !settlesFirst;
    if (settlesFirst) await settle();
    await claim();
    if (!settlesFirst) await settle();
    return isBlocked ? Math.min(gate.waitMs(), TICK_MS) : untilNextDue();
  }

  /**
   * Shortens waits that became too long because a clock went back: at once if it is the clock of this
   * process.
   */
  async function recount(): Promise<void> {
    const aheadMs = now() - monotonicNow();
    const isBack = aheadMs < clockAheadMs - CLOCK_BACK_MS;
    if (!isBack) clockAheadMs = aheadMs;
    if (!isBack && monotonicNow() - recountedAt < RECOUNT_MS) return;
    await ledger.recount(flow, now());
    recountedAt = monotonicNow();
    clockAheadMs = aheadMs;
  }

  async function recover(options: { isAlone: boolean }): Promise<void> {
    await gate.pause.refresh();
    const keys = await ledger.recover(flow, now(), options);
    if (keys.length === 0) return;
    log.info(
      `A process ended with ${keys.length} under way (${nameSome(keys)}): asking the ${target.name} what became of them.`,
    );
  }

  async function settle(): Promise<void> {
    if (monotonicNow() - settledAt < SETTLE_EVERY_MS || stopping.signal.aborted) return;
    settledAt = monotonicNow();
    await settler.begin();
  }

  async function claim(): Promise<void> {
    // The gate may have opened without the end of a call.
    sendQueued();
    const limit = Math.min(queue.room(sending), gate.capacity() * batch.atMost);
    if (limit <= 0 || stopping.signal.aborted) return;
    if (target.mayWrite && !(await target.mayWrite())) return;
    onEvent({ flow, kind: 'claiming' });
    const claims = await leases.take(() =>
      ledger.claim(flow, { limit, now: now(), order, batch: batchRule }),
    );
    if (claims.length > 0) onEvent({ flow, kind: 'claimed', claims });
    queue.add(claims);
    sendQueued();
  }

  function sendQueued(): void {
    while (sending < concurrency && !queue.isEmpty() && !stopping.signal.aborted) {
      const permit = gate.pass();
      if (!permit) return;
      sending += 1;
      void send(queue.take(), permit);
    }
  }

  async function send(claims: Claim[], permit: Permit): Promise<void> {
    const isProbe = gate.isProbing();
    const sent = await call(claims);
    onEvent({ flow, kind: 'received', claims, outcomes: sent.outcomes });
    const outcomes = tellGate(permit, claims, sent.outcomes);
    const moment = { now: now(), random, isProbe };
    const ended = claims.map((claim, i): Result => {
      const outcome = outcomes[i] as Outcome;
      return { claim, outcome, transition: afterAttempt(claim, outcome, options.flow, moment) };
    });
    if (sent.together) {
      results.addBatch(ended, sent.together, endSending);
      return wake();
    }
    results.add(ended);
    endSending();
    if (queue.isLow() || gate.isNarrow()) wake();
    else soon ??= setTimeout(wake, COMMIT_DELAY_MS);
  }

  function endSending(): void {
    sending -= 1;
    queue.end();
    sendQueued();
  }

  /** Makes deliveries that were claimed and not begun pending again, without counting an attempt. */
  function giveBack(): void {
    while (!queue.isEmpty()) {
      results.add(queue.take().map((claim) => ({ claim, transition: unclaimed(claim, now()) })));
    }
  }

  async function call(claims: Claim[]): Promise<Sent> {
    const onSend = () => {
      for (const claim of claims) leases.assert(claim);
      onEvent({ flow, kind: 'sending', claims });
      setImmediate(onEvent, { flow, kind: 'sent', claims });
    };
    try {
      const sent = await target.send(claims, { signal: cutOff.signal, onSend });
      if (sent.outcomes.length === claims.length) return sent;
      return asUnknown(claims, `it told ${sent.outcomes.length} outcomes of ${claims.length}`);
    } catch (error) {
      log.error({ err: error }, `Our client of the ${target.name} failed.`);
      return asUnknown(claims, (error as Error).message);
    }
  }

  async function untilNextDue(): Promise<number> {
    if (gate.capacity() === 0) return TICK_MS;
    if (!queue.isEmpty()) return SETTLE_EVERY_MS;
    return untilDue(await ledger.nextDueAt(flow, now()));
  }

  function untilDue(dueAt: number | undefined): number {
    return dueAt === undefined ? TICK_MS : Math.min(Math.max(dueAt - now(), 0), TICK_MS);
  }

  function wake(): void {
    alarm.resolve();
  }

  async function rest(ms: number): Promise<void> {
    const timer = setTimeout(wake, ms);
    await alarm.promise;
    clearTimeout(timer);
    clearTimeout(soon);
    soon = undefined;
    alarm = Promise.withResolvers();
  }

  return {
    run() {
      running = loop();
      return running;
    },
    wake,
    async stop({ graceMs = STOP_GRACE_MS } = {}) {
      stopping.abort();
      wake();
      const timers = [
        setTimeout(() => cutOff.abort(new Error('the service is stopping')), graceMs),
        setTimeout(() => {
          hasGivenUp = true;
          wake();
        }, graceMs + LAST_WORDS_MS),
      ];
      await running?.catch(() => {});
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

/** A target that breaks its contract may have done anything. */
function asUnknown(claims: readonly Claim[], reason: string): Sent {
  return { outcomes: claims.map(() => ({ kind: 'unknown', reason })) };
}
