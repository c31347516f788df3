import { setTimeout as sleep } from 'node:timers/promises';
import type { Registry } from 'prom-client';
import type { Logger } from 'service-kit/logger';
import { createRateLimitedLog } from 'service-kit/rate-limited-log';
import { backoffMs } from 'service-kit/retry';
import type { CustomerEvent } from '../customer-event.ts';
import { createEventMetrics } from './metrics.ts';
import type { Publisher, PublishResult } from './publisher.ts';

export interface EventQueueOptions {
  publisher: Publisher;
  /** What `/metrics` exposes. */
  metrics: Registry;
  log: Logger;
  /** Returns a number from 0 to below 1. */
  random: () => number;
  /** Maximum number of waiting events. Default: 100,000. */
  maxEvents?: number;
  /** Maximum length of all waiting events together, in characters. Default: 64 million. */
  maxCharacters?: number;
}

/** Sends events to a subscriber in the background; no caller waits for the result. */
export interface EventQueue {
  /** Accepts an event, unless too many wait. Returns at once. */
  add(event: CustomerEvent): void;
  /** Number of events not sent yet. */
  readonly waiting: number;
  /** Sends what can be sent within two seconds and discards the rest. */
  close(): Promise<void>;
}

/** The waiting events of one customer. The first is sent next. */
interface Lane {
  events: CustomerEvent[];
  /** How often the first event was refused. */
  refusals: number;
}

/** Short, so that the recovery of a subscriber is noticed soon. */
const MAX_OUTAGE_WAIT_MS = 30_000;
/** Long, because a refused event is usually refused again, and there may be many. */
const MAX_REFUSAL_WAIT_MS = 3_600_000;
const FLUSH_MS = 2_000;

/**
 * Keeps events in memory until they are sent, in order for each customer. A refused event is tried again
 * with exponential backoff of up to an hour, and delays only the events of its own customer. Retries of
 * refused events run one at a time, and only when no other event can be sent. When the subscriber is
 * unavailable, all events wait, and one at a time is tried.
 */
export function createEventQueue(options: EventQueueOptions): EventQueue {
  const { publisher, log, random } = options;
  const { maxEvents = 100_000, maxCharacters = 64_000_000 } = options;
  const { target } = publisher;
  const logLimited = createRateLimitedLog(log, 'warn');
  const logOnce = createRateLimitedLog(log, 'warn', 1);
  const lanes = new Map<string, Lane>();
  const ready: Lane[] = [];
  /** Lanes whose first event was refused and may be sent again now. */
  const refused: Lane[] = [];
  let waiting = 0;
  let characters = 0;
  let underWay = 0;
  let isRetrying = false;
  /** How often in a row the subscriber was unavailable. */
  let outages = 0;
  let isPaused = false;
  let isOver = false;
  let drained = Promise.withResolvers<void>();

  const metrics = createEventMetrics(options.metrics, () => waiting);

  function pump(): void {
    const concurrency = outages > 0 ? 1 : publisher.concurrency;
    while (!isPaused && !isOver && underWay < concurrency) {
      const lane = ready.shift() ?? (isRetrying ? undefined : refused.shift());
      if (!lane) return;
      void send(lane);
    }
  }

  async function send(lane: Lane): Promise<void> {
    const event = lane.events[0] as CustomerEvent;
    const isRetry = lane.refusals > 0;
    isRetrying ||= isRetry;
    underWay += 1;
    const result = await publisher.publish(event);
    underWay -= 1;
    if (isRetry) isRetrying = false;
    if (isOver) return;
    if (result.kind !== 'sent') metrics.failures.inc();
    if (result.kind === 'sent') settle(lane, event);
    else if (result.kind === 'gone') giveUp(result.reason);
    else if (result.kind === 'unavailable') pause(lane, result);
    else delay(lane, event, result);
    pump();
  }

  function settle(lane: Lane, event: CustomerEvent): void {
    if (outages > 0) log.info(`Customer events reach ${target} again.`);
    outages = 0;
    metrics.events.inc({ result: 'sent' });
    lane.events.shift();
    lane.refusals = 0;
    waiting -= 1;
    characters -= event.json.length;
    if (lane.events.length > 0) ready.push(lane);
    else lanes.delete(event.customerId);
    if (waiting === 0) drained.resolve();
  }

  /** The subscriber refuses this event but may accept others. */
  function delay(lane: Lane, event: CustomerEvent, { reason, retryAfterMs = 0 }: Refusal): void {
    lane.refusals += 1;
    if (lane.refusals === 1) {
      const what = `customer event ${event.id}`;
      logLimited('events refused', `${target} refused ${what}: ${reason}. Trying again.`);
    }
    const waitMs = Math.max(retryAfterMs, backoffMs(lane.refusals, random, MAX_REFUSAL_WAIT_MS));
    later(waitMs, () => refused.push(lane));
  }

  /** The subscriber is unavailable: the other attempts under way will fail, too. */
  function pause(lane: Lane, { reason, retryAfterMs = 0 }: Refusal): void {
    (lane.refusals > 0 ? refused : ready).push(lane);
    if (isPaused) return;
    isPaused = true;
    outages += 1;
    if (outages === 1) {
      log.warn(`Customer events do not reach ${target}: ${reason}. ${waiting} wait; trying again.`);
    }
    later(Math.max(retryAfterMs, backoffMs(outages, random, MAX_OUTAGE_WAIT_MS)), () => {
      isPaused = false;
    });
  }

  function giveUp(reason: string): void {
    log.error(`${target} wants no more customer events: ${reason}. None is sent until a restart.`);
    metrics.events.inc({ result: 'lost' }, waiting);
    end();
  }

  function later(waitMs: number, run: () => void): void {
    setTimeout(() => {
      if (isOver) return;
      run();
      pump();
    }, waitMs).unref();
  }

  function lose(): void {
    metrics.events.inc({ result: 'lost' });
    logOnce(
      'lost customer events',
      `${waiting} customer events wait for ${target}, and no more are kept: events are lost from now on. Only a poll finds their customers.`,
    );
  }

  function end(): void {
    isOver = true;
    waiting = 0;
    characters = 0;
    lanes.clear();
    for (const each of [ready, refused]) each.length = 0;
    drained.resolve();
  }

  return {
    get waiting() {
      return waiting;
    },
    add(event) {
      const { customerId, json } = event;
      if (isOver) return metrics.events.inc({ result: 'lost' });
      if (waiting >= maxEvents || characters + json.length > maxCharacters) return lose();
      if (waiting === 0) drained = Promise.withResolvers();
      waiting += 1;
      characters += json.length;
      const lane = lanes.get(customerId);
      if (lane) return void lane.events.push(event);
      const fresh = { events: [event], refusals: 0 };
      lanes.set(customerId, fresh);
      ready.push(fresh);
      // Deferred, so that the answer to the client that created the customer goes first.
      setImmediate(pump);
    },
    async close() {
      const isHopeful = waiting > 0 && outages === 0;
      if (isHopeful) await Promise.race([drained.promise, sleep(FLUSH_MS)]);
      if (waiting > 0)
        log.warn(
          `${waiting} customer event(s) were not sent to ${target}. They are lost with their customers.`,
        );
      end();
      await publisher.close();
    },
  };
}

type Refusal = Extract<PublishResult, { retryAfterMs?: number | undefined }>;
