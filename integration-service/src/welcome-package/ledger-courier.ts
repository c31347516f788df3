import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'service-kit/logger';
import { createCircuitBreaker } from '../delivery/circuit-breaker.ts';
import type { Sighting } from '../delivery/delivery.ts';
import { createDispatcher } from '../delivery/dispatcher.ts';
import { createGate } from '../delivery/gate.ts';
import { type LedgerLocation, openLedger } from '../delivery/ledger/ledger.ts';
import type { RestingDelivery } from '../delivery/ledger/reading.ts';
import { createPause } from '../delivery/pauses.ts';
import type { Target } from '../delivery/target.ts';
import { WELCOME_PACKAGE, welcomePackageFor } from './inventory-client.ts';
import type { Courier } from './sqs-handler.ts';

export interface LedgerCourierOptions {
  ledger: LedgerLocation;
  /** Kept from batch to batch: once the tables of the ledger are up to date, they are not checked again. */
  tables: { areUpToDate: boolean };
  inventory: Target;
  deliveryConcurrency: number;
  maxAttempts: number;
  /** A delivery that is due later is not waited for; Unix time in milliseconds. */
  until: number;
  log: Logger;
  /** Unix time in milliseconds. */
  now: () => number;
}

/** How often the results of this batch are read: other functions may work on its deliveries. */
const LOOK_MS = 500;
/** How long calls under way may go on at the end of a batch: for the time left, within these limits. */
const GRACE_MS = { longest: 5_500, shortest: 500 };
/** After that, how long it may take to write down results and close connections. */
const CLOSE_MS = 1_000;

/**
 * Delivers through a ledger, with the same dispatcher as the service, for as long as a batch takes. The
 * dispatcher works on all due deliveries of the ledger, so that the next function takes over what a killed
 * function has left.
 */
export function createLedgerCourier(options: LedgerCourierOptions): Courier {
  const { tables, until, log, now } = options;
  const sightings: Sighting[] = [];
  const waiting = new Map<string, (reason: string | undefined) => void>();
  let opened: ReturnType<typeof open> | undefined;
  let problem: string | undefined;
  let isOver = false;
  let alarm = Promise.withResolvers<void>();

  async function open() {
    const ledger = await openLedger(options.ledger, log, { isUpToDate: tables.areUpToDate });
    tables.areUpToDate = true;
    if (isOver) {
      await ledger.close();
      throw new Error('the batch is over');
    }
    const monotonicNow = () => performance.now();
    const { inventory: target, deliveryConcurrency: concurrency, maxAttempts } = options;
    const gate = createGate({
      breaker: createCircuitBreaker({ target: target.name, log, monotonicNow }),
      pause: createPause({ system: target.name, ledger, log, now, monotonicNow }),
      now,
    });
    const dispatcher = createDispatcher({
      ...{ leg: WELCOME_PACKAGE, target, ledger, concurrency, maxAttempts, log, now, monotonicNow },
      gate,
      random: Math.random,
      onStep: (step) => step === 'committed' && alarm.resolve(),
    });
    dispatcher.run().catch(fail);
    return { ledger, dispatcher };
  }

  /** Writes the customers of the batch into the ledger, and reads the results of the awaited deliveries. */
  async function work(): Promise<void> {
    opened = open();
    const { ledger, dispatcher } = await opened;
    while (!isOver) {
      const seen = sightings.splice(0);
      if (seen.length > 0) {
        await ledger.sight(WELCOME_PACKAGE, seen, { now: now() });
        dispatcher.wake();
      }
      if (waiting.size > 0) {
        const resting = await ledger.findResting(WELCOME_PACKAGE, [...waiting.keys()], until);
        for (const delivery of resting) end(delivery.key, reasonOf(delivery));
      }
      await rest();
    }
  }

  async function rest(): Promise<void> {
    const timer = setTimeout(alarm.resolve, LOOK_MS);
    await alarm.promise;
    clearTimeout(timer);
    alarm = Promise.withResolvers();
  }

  function end(key: string, reason: string | undefined): void {
    waiting.get(key)?.(reason);
    waiting.delete(key);
  }

  /** The ledger cannot be used, or our code has failed: SQS sends all messages of the batch again. */
  function fail(error: Error): void {
    problem = error.message;
    tables.areUpToDate = false;
    for (const key of waiting.keys()) end(key, problem);
  }

  async function stop(graceMs: number): Promise<void> {
    const { ledger, dispatcher } = (await opened?.catch(() => undefined)) ?? {};
    await dispatcher?.stop({ graceMs });
    await ledger?.close();
  }

  return {
    async deliver({ id }) {
      if (problem !== undefined) return problem;
      const sighting = welcomePackageFor(id);
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      waiting.set(sighting.key, resolve);
      sightings.push(sighting);
      if (opened) alarm.resolve();
      else work().catch(fail);
      return promise;
    },
    async close() {
      isOver = true;
      alarm.resolve();
      const leftMs = problem === undefined ? until - now() : 0;
      const graceMs = Math.min(Math.max(leftMs, GRACE_MS.shortest), GRACE_MS.longest);
      // A connection that hangs must not keep the function from answering. Work that goes on after that
      // is harmless: its leases expire, and its results carry fencing tokens.
      const isLate = new AbortController();
      await Promise.race([
        stop(graceMs).catch((error: Error) => log.warn(`Could not end well: ${error.message}`)),
        sleep(graceMs + CLOSE_MS, undefined, { signal: isLate.signal }).catch(() => {}),
      ]);
      isLate.abort();
    },
  };
}

/** Why a delivery is not delivered; `undefined` when it is. */
function reasonOf({ status, next_attempt_at, last_error }: RestingDelivery): string | undefined {
  if (status === 'delivered') return undefined;
  if (status === 'held') return 'it is held, until it is released';
  if (status === 'dead') return `it is dead, until it is replayed: ${last_error}`;
  return `it is ${status} until ${new Date(Number(next_attempt_at)).toISOString()}: ${last_error}`;
}
