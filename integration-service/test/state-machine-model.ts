import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as macrotask } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { vi } from 'vitest';
import { replay } from '../src/delivery/audit/replay.ts';
import type { Claim, Item, Status } from '../src/delivery/delivery.ts';
import { createCircuitBreaker } from '../src/delivery/dispatch/circuit-breaker.ts';
import { createDeliveryLog } from '../src/delivery/dispatch/delivery-log.ts';
import { createDispatcher } from '../src/delivery/dispatch/dispatcher.ts';
import { createGate } from '../src/delivery/dispatch/gate.ts';
import { createDeliveryMetrics } from '../src/delivery/dispatch/metrics.ts';
import { createPause } from '../src/delivery/dispatch/pauses.ts';
import type { EngineEvent } from '../src/delivery/engine-event.ts';
import { ONE_BY_ONE, type Policy } from '../src/delivery/flow.ts';
import { createIngest } from '../src/delivery/ingest/ingest.ts';
import { createSurgeGuard } from '../src/delivery/ingest/surge-guard.ts';
import type { Ledger } from '../src/delivery/ledger/ledger.ts';
import { openLedger } from '../src/delivery/ledger/open-ledger.ts';
import type { DeliveryRow, HistoryEvent } from '../src/delivery/ledger/tables.ts';
import { AbortedError, type Outcome } from '../src/delivery/outcome.ts';
import {
  type Finding,
  type Call as HowToCall,
  ReadError,
  type Target,
} from '../src/delivery/target.ts';

export const FLOW = 'a-flow';
export const MAX_ATTEMPTS = 3;
const CONCURRENCY = 2;
const POLICY: Policy = {
  ...{ order: 'lane', supersedes: false, hasOwnKeys: false, keepsLabels: false },
  ...{ batch: ONE_BY_ONE, concurrency: CONCURRENCY, maxAttempts: MAX_ATTEMPTS },
};
const T0 = 1_700_000_000_000;

/** What the target does with one call. */
export interface Behaviour {
  kind: Exclude<Outcome['kind'], 'aborted'> | 'not sent' | 'exists';
  /** Milliseconds until the effect, which may come after the answer or after the death of the worker. */
  commitMs?: number | undefined;
  answerMs: number;
  retryAfterMs?: number | undefined;
}

/**
 * What the target does with one read: answers what it held when the read began, cuts the list off, or
 * fails.
 */
export interface ReadBehaviour {
  kind: 'ok' | 'cut' | 'failing' | 'unauthorized' | 'throttled';
  answerMs: number;
}

export interface WorldOptions {
  folder: string;
  /**
   * Whether the target deduplicates by key. A target without keys also misunderstands a question about a
   * single delivery.
   */
  hasKeys: boolean;
  /** What the target holds before the ledger exists. */
  holds: string[];
  workers: number;
  random: () => number;
}

interface Call extends Behaviour {
  /** Whether the attempt is not counted. */
  isFree: boolean;
}

/** At its nth step of a kind, a worker crashes and starts again after `ms`, or sleeps that long. */
export interface Trap {
  kind: 'crash' | 'sleep';
  after: number;
  at: EngineEvent['kind'] | 'any';
  ms: number;
}

/** A process with a dispatcher, from its start to its crash. */
interface Worker {
  ledger: Ledger;
  dispatcher: ReturnType<typeof createDispatcher>;
  breaker: ReturnType<typeof createCircuitBreaker>;
  gate: ReturnType<typeof createGate>;
  /** The ledger as the poller uses it: the process neither dies nor sleeps during a use. */
  poller: <Result>(use: (ledger: Ledger) => Promise<Result>) => Promise<Result>;
  close: () => Promise<void>;
  isDead: boolean;
  /** Pending while the worker sleeps; for ever when it is dead. */
  halt: PromiseWithResolvers<void> | undefined;
  trap: Trap | undefined;
  callsUnderWay: number;
  failuresInRow: number;
  openedAt: number;
  /** Whether the breaker was open when the last claim began. */
  wasOpen: boolean;
  /** The keys that the worker has seen throttled. */
  throttled: Set<string>;
  /** The worker certainly sends nothing before this time. */
  pausedUntil: number;
  /** How the next read is checked: whether it must contain something that was delivered before. */
  check: 'none' | 'blind' | 'seeing';
}

export type World = Awaited<ReturnType<typeof createWorld>>;

const itemOf = (key: string): Item => ({
  key,
  lane: `customer-${Number(key.slice(4)) % 3}`,
  payload: JSON.stringify({ key }),
});
const KIND_IN_HISTORY = new Map<string | undefined, string>([
  ['not sent', 'transient'],
  ['exists', 'unknown'],
]);
/** The target's own id. */
const idOf = (key: string) => `found ${key}`;
const isOpen = ({ openedAt }: Worker) => openedAt > Number.NEGATIVE_INFINITY;
const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Workers on one ledger file, and a target that does what the test says. Time passes only by `advance`.
 */
export async function createWorld({
  folder,
  hasKeys,
  holds,
  workers: count,
  random,
}: WorldOptions) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: T0 });
  const log = pino({ level: 'silent' });
  const behaviours: Behaviour[] = [];
  const readBehaviours: ReadBehaviour[] = [];
  const problems = new Set<string>();
  const effects = [...holds];
  /** By the reason in the history. */
  const calls = new Map<string, Call>();
  const commitsToCome = new Map<() => void, string>();
  const ingested = new Map<string, Status>();
  const workers: (Worker | undefined)[] = Array(count).fill(undefined);
  let starting: Promise<void>[] = [];
  let events: string[] = [];
  let [skewMs, jumps, activity, generation] = [0, 0, 0, 0];
  let disturbedAt = 0;
  let path = '';
  let eye: DatabaseSync;
  let last: Promise<unknown> = Promise.resolve();
  const monotonicNow = () => Date.now();
  const now = () => Date.now() + skewMs;
  const assert = (isTrue: unknown, problem: string) => isTrue || problems.add(problem);

  /**
   * Runs one at a time: a worker in a transaction would block this process when another worker wants one.
   */
  function oneAtATime<Result>(run: () => Result | Promise<Result>): Promise<Result> {
    const result = last.then(run);
    last = result.catch(() => {});
    return result;
  }

  // The committed rows, read through a separate connection.
  const rows = () =>
    eye.prepare('select * from deliveries order by sequence').all() as unknown as DeliveryRow[];
  const eventsOf = ({ sequence }: DeliveryRow) =>
    eye
      .prepare('select * from events where delivery = ? order by id')
      .all(sequence) as unknown as HistoryEvent[];

  /** Called where a worker may die or sleep: at its steps, and before and after each use of the ledger. */
  function tick(worker: Worker, step: EngineEvent['kind'] | 'ledger'): void {
    activity += 1;
    const { trap } = worker;
    if (worker.isDead || !trap || (trap.at !== 'any' && trap.at !== step) || --trap.after > 0)
      return;
    const { kind, ms } = trap;
    worker.trap = undefined;
    disturbedAt = monotonicNow();
    if (kind === 'crash') crash(worker, ms);
    else if (!living().some(({ halt }) => halt)) {
      worker.halt = Promise.withResolvers();
      setTimeout(() => wakeUp(worker), ms);
    }
  }

  async function pass(worker: Worker): Promise<void> {
    while (worker.halt) await worker.halt.promise;
  }

  function wakeUp(worker: Worker): void {
    activity += 1;
    if (worker.isDead || !worker.halt) return;
    disturbedAt = monotonicNow();
    worker.halt.resolve();
    worker.halt = undefined;
  }

  /** From here on, the worker touches neither ledger nor target. */
  function crash(worker: Worker, downMs?: number): void {
    const index = workers.indexOf(worker);
    worker.isDead = true;
    worker.halt ??= Promise.withResolvers();
    workers[index] = undefined;
    starting.push(oneAtATime(worker.close));
    if (downMs !== undefined) setTimeout(() => starting.push(start(index)), downMs);
  }

  const living = () => workers.filter((worker) => worker !== undefined);

  async function start(index: number): Promise<void> {
    // Without threads, which take long to start: there are thousands of ledgers.
    const options = { hasThread: false };
    const ledger = await oneAtATime(() => openLedger({ kind: 'sqlite', path }, log, options));
    if (workers[index]) return oneAtATime(ledger.close);
    const breaker = createCircuitBreaker({ target: 'target', log, monotonicNow });
    const paused = { ledger: guarded(ledger, () => worker), log, now, monotonicNow };
    const pause = createPause({ system: 'target', ...paused });
    const gate = createGate({ breaker, pause, now });
    const target = targetFor(() => worker);
    const watch = createDeliveryMetrics(new Registry(), { ledger, pauses: () => [pause], now });
    const listeners = [
      createDeliveryLog({ name: FLOW, target, policy: POLICY }, log),
      watch({ flow: FLOW, target: target.name, breaker }),
    ];
    const worker: Worker = {
      ...{ throttled: new Set(), pausedUntil: Number.NEGATIVE_INFINITY },
      ...{ close: ledger.close, breaker, gate, isDead: false, halt: undefined, trap: undefined },
      poller: (use) => oneAtATime(() => use(ledger)),
      ...{ callsUnderWay: 0, failuresInRow: 0, openedAt: Number.NEGATIVE_INFINITY, wasOpen: false },
      check: 'none',
      ledger: guarded(ledger, () => worker),
      dispatcher: createDispatcher({
        flow: {
          ...{ name: FLOW, target, policy: POLICY },
          adopt: ({ identity }) => itemOf(identity),
        },
        ledger: guarded(ledger, () => worker),
        gate,
        ...{ log, now, monotonicNow, random },
        onEvent(event) {
          for (const listen of listeners) listen(event);
          tick(worker, event.kind);
        },
      }),
    };
    workers[index] = worker;
    // A worker that is alone takes over what is left at once, without waiting for leases to end.
    const left = ledger.isAlone ? rows().filter(({ status }) => status === 'sending') : [];
    setTimeout(() => {
      const isLeft = ({ key, fencing_token }: DeliveryRow) =>
        rows().some((row) => row.key === key && row.fencing_token === fencing_token);
      const isDisturbed = worker.isDead || worker.halt || monotonicNow() - disturbedAt < 4_000;
      assert(isDisturbed || !left.some(isLeft), 'what another worker left is still left');
    }, 5_000);
    worker.dispatcher.run().catch((error) => problems.add(`the dispatcher broke: ${error.stack}`));
  }

  function guarded(ledger: Ledger, getWorker: () => Worker): Ledger {
    const get = (_: Ledger, name: keyof Ledger) => {
      const member = ledger[name] as unknown;
      if (typeof member !== 'function') return member;
      return async (...values: unknown[]) => {
        const worker = getWorker();
        tick(worker, 'ledger');
        if (name === 'claim') worker.wasOpen = isOpen(worker) && worker.openedAt < monotonicNow();
        await pass(worker);
        const run = async () => !worker.isDead && member(...values);
        const result = await oneAtATime(run).finally(() => tick(worker, 'ledger'));
        await pass(worker);
        if (name === 'statuses') {
          const rows = result as Awaited<ReturnType<Ledger['statuses']>>;
          worker.check = rows.some(({ status }) => status === 'delivered') ? 'seeing' : 'blind';
        }
        return result;
      };
    };
    return new Proxy(ledger, { get } as ProxyHandler<Ledger>);
  }

  function targetFor(getWorker: () => Worker | undefined): Target {
    return {
      name: 'target',
      isRepeatable: false,
      lookUpAfterMs: [500, 2_000, 8_000],
      async send(batch, call) {
        assert(batch.length === 1, `${batch.length} in a batch`);
        return { outcomes: await Promise.all(batch.map((claim) => send(claim, call))) };
      },
      async lookUp(batch) {
        const found = await read(batch);
        return new Map(
          found.map((key): [string, Finding] => [key, { kind: 'applied', targetId: idOf(key) }]),
        );
      },
      async *list() {
        for (const key of await read()) {
          yield { identity: key, targetId: idOf(key), content: undefined };
        }
      },
    };

    async function send(claim: Claim, { signal, onSend }: HowToCall): Promise<Outcome> {
      const worker = getWorker() as Worker;
      const behaviour = behaviours.shift() ?? { kind: 'delivered', commitMs: 0, answerMs: 0 };
      const { kind, commitMs, answerMs, retryAfterMs } = behaviour;
      const isProbe = worker.breaker.state() !== 'closed';
      const reason = `call ${calls.size + 1}`;
      const isFree =
        kind === 'unauthorized' || ((kind === 'not sent' || kind === 'transient') && isProbe);
      const isPaused = monotonicNow() < worker.pausedUntil;
      assert(!isPaused, `${reason}: the system was to be left alone`);
      calls.set(reason, { ...behaviour, isFree });
      await pass(worker);
      const beganAt = monotonicNow();
      if (kind !== 'not sent') {
        try {
          onSend();
        } catch (error) {
          if (!(error instanceof AbortedError)) throw error;
          calls.set(reason, { ...behaviour, isFree: true });
          return { kind: 'aborted', reason };
        }
        if (worker.isDead) await pass(worker);
        checkCall(worker, claim, reason);
      }
      if (commitMs !== undefined) {
        const commit = () => commitsToCome.delete(commit) && effect(claim.key);
        commitsToCome.set(commit, claim.key);
        if (commitMs === 0) commit();
        else setTimeout(commit, commitMs);
      }
      worker.callsUnderWay += 1;
      const cut = new Promise<'cut'>((resolve) => {
        signal.addEventListener('abort', () => resolve('cut'));
      });
      const isCut = answerMs > 0 && (await Promise.race([after(answerMs), cut])) === 'cut';
      await pass(worker);
      activity += 1;
      worker.callsUnderWay -= 1;
      if (isCut) {
        calls.set(reason, { ...behaviour, kind: 'unknown', isFree: false });
        return { kind: 'unknown', reason };
      }
      noteForBreaker(worker, kind, beganAt);
      if (kind === 'delivered') return { kind, targetId: reason, statusCode: 201 };
      if (kind === 'permanent') return { kind, reason, statusCode: 422 };
      if (kind === 'stale') return { kind, reason, statusCode: 412 };
      if (kind === 'unauthorized') return { kind, reason, statusCode: 401 };
      if (kind === 'unknown') return { kind, reason, retryAfterMs };
      if (kind === 'throttled') {
        // The first throttling of a delivery counts as the system's, whatever the later ones are.
        if (!worker.throttled.has(claim.key)) pauseFor(worker, retryAfterMs);
        worker.throttled.add(claim.key);
        return { kind, reason, statusCode: 429, retryAfterMs };
      }
      if (kind === 'exists') return { kind: 'unknown', reason, saysItExists: true };
      return { kind: 'transient', reason, retryAfterMs };
    }

    /** What the target says that it holds, of these deliveries or of all. */
    async function read(only?: readonly Claim[]): Promise<string[]> {
      const worker = getWorker();
      const { kind, answerMs } = readBehaviours.shift() ?? { kind: 'ok', answerMs: 0 };
      const beganAt = monotonicNow();
      const isMisunderstood = only?.length === 1 && !hasKeys;
      const isAskedFor = (key: string) => !only || only.some((claim) => claim.key === key);
      const all = isMisunderstood ? [] : effects.filter(isAskedFor);
      const held = kind === 'cut' && mayBeCut(worker) ? [] : all;
      if (worker) worker.check = 'none';
      if (answerMs > 0) await after(answerMs);
      if (worker) await pass(worker);
      activity += 1;
      const isRead = kind === 'ok' || kind === 'cut';
      if (worker) noteForBreaker(worker, isRead ? 'delivered' : kind, beganAt);
      if (!isRead)
        throw new ReadError(kind, {
          system: 'target',
          status: kind === 'throttled' ? 429 : undefined,
          isUnauthorized: kind === 'unauthorized',
        });
      return held;
    }
  }

  function pauseFor(worker: Worker, retryAfterMs = 0): void {
    const end = monotonicNow() + Math.max(retryAfterMs, 1_000);
    worker.pausedUntil = Math.max(worker.pausedUntil, end);
  }

  /**
   * Whether the next list may be cut off. It must not be if no delivery would show the cut, when the
   * target is adopted, or when a delivery was released or refused as existing: in these cases, the list is
   * believed.
   */
  function mayBeCut(worker: Worker | undefined): boolean {
    const unknown = rows().filter(({ status }) => status === 'unknown');
    const isOneReadDecisive = unknown.some(({ reads }) => reads < 0);
    return (
      worker !== undefined && worker.check !== 'blind' && unknown.length > 0 && !isOneReadDecisive
    );
  }

  function effect(key: string): void {
    if (!hasKeys || !effects.includes(key)) effects.push(key);
    assert(effects.filter((each) => each === key).length === 1, `${key} was delivered twice`);
  }

  /** A simple breaker that only knows when calls must certainly not begin: for 2 s after it opens. */
  function noteForBreaker(worker: Worker, kind: string, beganAt: number): void {
    if (kind === 'throttled') return;
    if (isOpen(worker) && beganAt < worker.openedAt) return;
    if (['delivered', 'permanent', 'stale', 'exists'].includes(kind)) {
      worker.failuresInRow = 0;
      worker.openedAt = Number.NEGATIVE_INFINITY;
    } else if (!isOpen(worker)) {
      worker.failuresInRow += 1;
      if (kind === 'unauthorized' || worker.failuresInRow >= 5) worker.openedAt = monotonicNow();
    }
  }

  /** Checks everything that must hold when a call begins. */
  function checkCall(worker: Worker, claim: Claim, call: string): void {
    const all = rows();
    const row = all.find(({ key }) => key === claim.key);
    const lane = all.filter((each) => each.lane === claim.lane);
    const name = `${call} about ${claim.key}`;
    assert(row, `${name}: it is not in the ledger`);
    assert(row?.status === 'sending', `${name}: it is ${row?.status}`);
    assert(row?.fencing_token === claim.fencingToken, `${name}: it is somebody else's`);
    assert(row && follow(row).status === 'pending', `${name}: its history does not want it`);
    for (const other of lane) {
      if (other.sequence === claim.sequence) continue;
      // A dead delivery may have been replayed after the claim.
      const isReplayed = eventsOf(other).some(({ what }) => what === 'replayed');
      const isOver = ['delivered', 'dead'].includes(other.status) || isReplayed;
      const isLater = other.sequence > claim.sequence;
      assert(isOver || isLater, `${name}: ${other.key} before it is ${other.status}`);
      assert(other.status !== 'sending', `${name}: ${other.key} is under way, too`);
    }
    assert(worker.callsUnderWay < CONCURRENCY, `${name}: too many at once`);
    const isLeftAlone = worker.wasOpen && monotonicNow() < worker.openedAt + 2_000;
    assert(!isLeftAlone, `${name}: the target was to be left alone`);
    const dueAt = (row && eventsOf(row).at(-1)?.next_attempt_at) ?? 0;
    assert(dueAt <= now() || jumps > 0, `${name}: too early`);
  }

  /** What the row of a delivery must be, computed again from its history. */
  function follow(row: DeliveryRow): { status: Status; attempts: number } {
    let status: Status = ingested.get(row.key) ?? 'delivered';
    let [attempts, reads] = [0, 0];
    let looksOnce: 'existing' | 'released' | undefined;
    const expectStatus = (what: string, ...before: Status[]) =>
      assert(before.includes(status), `${row.key}: ${what} while ${status}`);
    for (const { what, attempt, reason } of eventsOf(row)) {
      const call = calls.get(reason ?? '');
      const atTheEnd = () => (attempts >= MAX_ATTEMPTS ? 'dead' : 'pending');
      if (what === 'adopted') {
        status = 'delivered';
      } else if (what === 'released' || what === 'replayed') {
        expectStatus(what, what === 'released' ? 'held' : 'dead');
        if (what === 'released' && attempts > 0) [status, looksOnce] = ['unknown', 'released'];
        else [status, attempts] = ['pending', 0];
      } else if (what === 'held') {
        expectStatus(what, 'unknown');
        assert(reads === 2 && !looksOnce, `${row.key}: held after ${reads} reads`);
        status = 'held';
      } else if (['found', 'not_found', 'not_read'].includes(what)) {
        expectStatus(what, 'unknown', ...(what === 'found' ? ['dead' as const] : []));
        if (what === 'found') status = 'delivered';
        if (what !== 'not_found') continue;
        if (looksOnce === 'existing') status = 'dead';
        else if (looksOnce === 'released') [status, attempts] = ['pending', 0];
        else if (++reads === 3) status = atTheEnd();
      } else {
        expectStatus(what, 'pending');
        assert(attempt === attempts + 1, `${row.key}: attempt ${attempt} after ${attempts}`);
        // A delivery aborted before the call has no call. A call that is throttled for one delivery
        // alone is counted, and called transient.
        const isFree = call?.isFree || what === 'aborted' || what === 'throttled';
        if (!isFree) attempts += 1;
        reads = 0;
        looksOnce = what === 'unknown' && call?.kind === 'exists' ? 'existing' : undefined;
        const isOwn = call?.kind === 'throttled' && what === 'transient';
        const isSame = isOwn || what === (KIND_IN_HISTORY.get(call?.kind) ?? call?.kind);
        assert(isSame || ['aborted', 'lease_lost'].includes(what), `${row.key}: wrongly ${what}`);
        if (what === 'delivered') status = 'delivered';
        else if (what === 'permanent' || what === 'stale') status = 'dead';
        else if (what === 'unknown' || what === 'lease_lost') status = 'unknown';
        else status = isFree ? 'pending' : atTheEnd();
      }
    }
    return { status, attempts };
  }

  /** Whether the ledger agrees with its histories, the target and the items. */
  function check(): void {
    const all = rows();
    for (const row of all) {
      const { key, status, attempts } = row;
      const { status: wanted, attempts: used } = follow(row);
      const isSending = status === 'sending';
      assert(
        status === wanted || (isSending && wanted === 'pending'),
        `${key}: ${status} for ${wanted}`,
      );
      assert(attempts === used + Number(isSending), `${key}: ${attempts} attempts for ${used}`);
      assert(attempts <= MAX_ATTEMPTS, `${key}: ${attempts} attempts`);
      const isDue = row.next_attempt_at !== null;
      assert(isDue === ['pending', 'unknown'].includes(status), `${key}: ${status}, due: ${isDue}`);
      assert(status !== 'delivered' || effects.includes(key), `${key}: not at the target`);
    }
    for (const key of ingested.keys())
      assert(
        all.some((row) => row.key === key),
        `${key} is lost`,
      );
    const written = eye.prepare('select * from events order by id').all();
    const lines = written.map((each) => JSON.stringify(each));
    const isLeaseLost = written.slice(events.length).some(({ what }) => what === 'lease_lost');
    const isExplained = monotonicNow() - disturbedAt < 60_000;
    assert(!isLeaseLost || isExplained, 'a lease was lost though nothing had happened');
    assert(
      events.every((line, i) => line === lines[i]),
      'the history has been changed',
    );
    events = lines;
  }

  async function quiet(): Promise<void> {
    for (let before = -1; before !== activity || starting.length > 0; ) {
      before = activity;
      const started = starting;
      starting = [];
      await Promise.all(started);
      await last;
      await macrotask();
    }
  }

  /** How long nothing can happen, so that time can advance at once by this much. */
  function idleMs(lullMs: number): number {
    const open = rows().filter(({ status }) => !['delivered', 'dead'].includes(status));
    const heads = new Map(open.reverse().map((row) => [row.lane, row]));
    const waits = [...heads.values()].map(({ status, next_attempt_at }) => {
      if (next_attempt_at === null) return status === 'held' ? 3_600_000 : 2_000;
      const dueMs = next_attempt_at - now();
      const waitMs = Math.min(...living().map(({ gate }) => gate.waitMs()));
      return dueMs > 0 ? dueMs : Math.max(lullMs, Number.isFinite(waitMs) ? waitMs : 0);
    });
    const isBusy = living().some(({ halt, callsUnderWay }) => halt || callsUnderWay > 0);
    return Math.min(...waits, isBusy || living().length < count ? 2_000 : 3_600_000);
  }

  async function advance(ms: number): Promise<void> {
    await quiet();
    check();
    let lullMs = 250;
    for (let left = ms; left > 0; ) {
      const before = events.length;
      const step = Math.min(left, idleMs(lullMs));
      left -= step;
      vi.advanceTimersByTime(step);
      await quiet();
      check();
      lullMs = events.length > before ? 250 : Math.min(lullMs * 2, 16_000);
    }
  }

  async function someone(): Promise<Worker> {
    while (living().every(({ halt }) => halt)) await advance(2_000);
    return living().find(({ halt }) => !halt) as Worker;
  }

  async function open(): Promise<void> {
    generation += 1;
    path = join(folder, `ledger-${generation}.sqlite`);
    events = [];
    const first = await openLedger({ kind: 'sqlite', path }, log);
    eye?.close();
    eye = new DatabaseSync(path, { readOnly: true });
    await first.close();
    for (let index = 0; index < count; index++) await start(index);
  }

  /** A poll that shows these keys. */
  async function ingest(keys: string[], surgeLimit?: number): Promise<void> {
    const { poller, dispatcher } = await someone();
    const fresh = keys.filter((key) => !rows().some((row) => row.key === key));
    const isHeld = surgeLimit !== undefined && fresh.length > surgeLimit;
    for (const key of fresh) ingested.set(key, isHeld ? 'held' : 'pending');
    const told: string[] = [];
    const counts = await poller((ledger) => {
      const ingest = createIngest({
        ...{ flow: { name: FLOW, policy: POLICY }, ledger, log, now, onIngested: dispatcher.wake },
        onEvent(event) {
          if (event.kind === 'ingested') told.push(...event.items.map(({ key }) => key));
        },
      });
      const limits = { flow: FLOW, ledger, limit: surgeLimit, windowMs: 0, monotonicNow };
      return ingest.list(keys.map(itemOf), { noun: 'item', guard: createSurgeGuard(limits) });
    });
    const [news, others] = isHeld ? [counts.held, counts.new] : [counts.new, counts.held];
    assert(news === fresh.length && others === 0, `${news} and ${others} for ${fresh.length} new`);
    assert(counts.known === keys.length - fresh.length, `${counts.known} known`);
    assert(counts.superseded === 0, `${counts.superseded} superseded`);
    assert(told.join() === (isHeld ? '' : fresh.join()), `told of ${told} for ${fresh}`);
  }

  async function release(): Promise<void> {
    const { poller, dispatcher } = await someone();
    await poller((ledger) => ledger.release({ flow: FLOW }, now()));
    dispatcher.wake();
  }

  /** The settle window is measured by the wall clock, so late effects come before that clock jumps. */
  function comeNow(): void {
    const unknown = rows().filter(({ status }) => status === 'unknown');
    for (const [commit, key] of commitsToCome) {
      if (unknown.some((row) => row.key === key)) commit();
    }
  }

  await open();
  return {
    ...{ behaviours, readBehaviours, problems, advance, check, ingest },

    /** The wall clock jumps; the jump may crash a worker. */
    jump(ms: number, victim?: number): void {
      for (const worker of living()) wakeUp(worker);
      if (!hasKeys) comeNow();
      skewMs += ms;
      jumps += 1;
      const worker = victim === undefined ? undefined : workers[victim % count];
      if (worker) crash(worker, 30_000);
      disturbedAt = monotonicNow();
    },

    /** The worker crashes or sleeps at its nth step from now on. */
    trap(index: number, trap: Trap): void {
      const worker = workers[index % count];
      if (worker) worker.trap = { ...trap };
    },

    async restartGracefully(index: number): Promise<void> {
      const worker = workers[index % count];
      if (!worker) return;
      worker.trap = undefined;
      wakeUp(worker);
      let isStopped = false;
      const stopped = worker.dispatcher.stop().then(() => {
        isStopped = true;
      });
      for (let ms = 0; ms < 8_000 && !isStopped; ms += 500) await advance(500);
      assert(isStopped, 'it does not stop within 8 s');
      await stopped;
      const left = rows().filter(({ status }) => status === 'sending');
      assert(count > 1 || left.length === 0, 'it left something behind');
      crash(worker, 0);
    },

    async replay(): Promise<void> {
      const { ledger, dispatcher } = await someone();
      const flows = [{ name: FLOW, target: targetFor(() => undefined), policy: POLICY }];
      const replayed = replay({ ledger, flows, filter: {}, dryRun: false, now });
      // Not awaited: a worker that crashes meanwhile never finishes the replay.
      replayed.then(dispatcher.wake, (error) => assert(error instanceof ReadError, `${error}`));
      await quiet();
    },

    release,

    /** All workers crash, the ledger is deleted, and they start with a new one. */
    async loseLedger(): Promise<void> {
      for (const worker of living()) crash(worker);
      await quiet();
      for (const commit of [...commitsToCome.keys()]) commit();
      await open();
      const keys = [...ingested.keys()];
      ingested.clear();
      await ingest(keys);
    },

    /** From here on nothing fails: everything is delivered or dead, and delivered after a replay. */
    async finish(): Promise<void> {
      behaviours.length = 0;
      readBehaviours.length = 0;
      for (const worker of living()) {
        worker.trap = undefined;
        wakeUp(worker);
      }
      await release();
      await untilOver();
      checkEnd('delivered', 'dead');
      await this.replay();
      await untilOver();
      checkEnd('delivered');
    },

    async close(): Promise<void> {
      for (const worker of living()) crash(worker);
      await quiet();
      eye.close();
      vi.useRealTimers();
    },
  };

  async function untilOver(): Promise<void> {
    for (let minutes = 0; minutes < 120; minutes += 10) {
      await advance(600_000);
      // A list that was cut off just before may have caused deliveries to be held.
      await release();
      if (rows().every(({ status }) => ['delivered', 'dead'].includes(status))) return;
    }
  }

  function checkEnd(...ends: Status[]): void {
    check();
    for (const row of rows()) {
      const { key, status } = row;
      const times = effects.filter((each) => each === key).length;
      assert(ends.includes(status), `${key} ends ${status}`);
      // With keys, an effect may come so late that the call after it was refused.
      assert(
        times === Number(status === 'delivered') || (hasKeys && status === 'dead'),
        `${key}: ${status} with ${times}`,
      );
      const isOutOfTurn = rows().some(
        (later) =>
          later.lane === row.lane &&
          later.sequence > row.sequence &&
          !holds.includes(later.key) &&
          effects.includes(later.key) &&
          effects.indexOf(later.key) < effects.indexOf(key),
      );
      const mayBe =
        hasKeys || generation > 1 || eventsOf(row).some(({ what }) => what === 'replayed');
      assert(!isOutOfTurn || mayBe, `${key} was overtaken`);
    }
  }
}
