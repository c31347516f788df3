import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CustomerEvent } from '../customer-event.ts';
import { createEventQueue, type EventQueueOptions } from './event-queue.ts';
import type { PublishResult } from './publisher.ts';

const SENT: PublishResult = { kind: 'sent' };
const REFUSED: PublishResult = { kind: 'refused', reason: '400 Bad Request' };
const UNAVAILABLE: PublishResult = { kind: 'unavailable', reason: '503 Service Unavailable' };

let number = 0;
const event = (customerId = `customer-${++number}`): CustomerEvent => {
  const id = `event-${++number}`;
  return { id, type: 'CREATE', customerId, json: `{"event_id":"${id}"}` };
};

/** A publisher whose attempts end when the test says so, and an event queue that uses it. */
function setUp(options: Partial<EventQueueOptions> & { concurrency?: number } = {}) {
  const attempts: { event: CustomerEvent; end: (result: PublishResult) => void }[] = [];
  const messages: string[] = [];
  const log = pino({}, { write: (line: string) => messages.push(JSON.parse(line).msg) });
  const registry = new Registry();
  let isClosed = false;
  const eventQueue = createEventQueue({
    publisher: {
      target: 'there',
      concurrency: options.concurrency ?? 2,
      publish: (event) => new Promise((end) => attempts.push({ event, end })),
      close: async () => {
        isClosed = true;
        for (const { end } of attempts) end(UNAVAILABLE);
      },
    },
    metrics: registry,
    log,
    // Just below 1, so that each wait has its maximum length.
    random: () => 0.999_999,
    ...options,
  });
  return {
    eventQueue,
    attempts,
    messages,
    isClosed: () => isClosed,
    sent: () => attempts.map(({ event }) => event.id),
    /** Ends the attempt with this number, from 0, and lets its consequences happen. */
    async end(i: number, result: PublishResult): Promise<void> {
      attempts[i]?.end(result);
      await vi.advanceTimersByTimeAsync(0);
    },
    async metric(line: string): Promise<number> {
      const text = await registry.metrics();
      return Number(new RegExp(`^${RegExp.escape(line)} (.*)$`, 'm').exec(text)?.[1]);
    },
  };
}

const passes = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the event queue', () => {
  it('sends nothing before whoever added an event has had its turn, then as many at a time as it may', async () => {
    const { eventQueue, sent, end } = setUp();
    const events = [event(), event(), event()];
    for (const each of events) eventQueue.add(each);
    expect(sent()).toEqual([]);
    await passes(0);
    expect(sent()).toEqual(events.slice(0, 2).map(({ id }) => id));
    await end(1, SENT);
    expect(sent()).toEqual(events.map(({ id }) => id));
    expect(eventQueue.waiting).toBe(2);
  });

  it('sends the events of one customer one after the other, in their order, also when the first is refused', async () => {
    const { eventQueue, sent, end, messages } = setUp();
    const [first, second] = [event('jane'), event('jane')];
    eventQueue.add(first);
    eventQueue.add(second);
    await passes(0);
    expect(sent()).toEqual([first.id]);
    await end(0, REFUSED);
    await passes(998);
    expect(sent()).toEqual([first.id]);
    await passes(2);
    expect(sent()).toEqual([first.id, first.id]);
    await end(1, SENT);
    expect(sent()).toEqual([first.id, first.id, second.id]);
    // The refusals of the first event do not count against the second.
    await end(2, REFUSED);
    expect(messages.at(-1)).toContain(`refused customer event ${second.id}`);
    await passes(1_000);
    expect(sent()).toHaveLength(4);
  });

  it('tries a refused event again, less and less often, and goes on with the others', async () => {
    const { eventQueue, sent, end, messages } = setUp({ concurrency: 1 });
    const [bad, good] = [event(), event()];
    eventQueue.add(bad);
    eventQueue.add(good);
    await passes(0);
    await end(0, REFUSED);
    expect(sent()).toEqual([bad.id, good.id]);
    await end(1, SENT);
    for (const [attempts, wait] of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000].entries()) {
      await passes(wait - 2);
      expect(sent().length).toBe(2 + attempts);
      await passes(2);
      expect(sent().length).toBe(3 + attempts);
      await end(2 + attempts, REFUSED);
    }
    expect(messages).toEqual([
      `there refused customer event ${bad.id}: 400 Bad Request. Trying again.`,
    ]);
  });

  it('tries refused events one at a time, after those that were not, and waits up to an hour', async () => {
    const { eventQueue, sent, end } = setUp({ concurrency: 3, random: () => 0 });
    const [bad, worse] = [event(), event()];
    eventQueue.add(bad);
    eventQueue.add(worse);
    await passes(0);
    await end(0, REFUSED);
    await end(1, REFUSED);
    expect(sent().slice(2)).toEqual([bad.id]);
    const [good, better, best] = [event(), event(), event()];
    for (const each of [good, better, best]) eventQueue.add(each);
    await passes(0);
    expect(sent().slice(3)).toEqual([good.id, better.id]);
    await end(2, REFUSED);
    expect(sent().slice(5)).toEqual([best.id]);
    await end(3, SENT);
    expect(sent().slice(6)).toEqual([worse.id]);
    await end(4, SENT);
    expect(sent()).toHaveLength(7);
  });

  it('waits with all when the subscriber takes nothing, then tries one at a time, and says so once', async () => {
    const { eventQueue, sent, end, messages, metric } = setUp();
    const events = [event(), event(), event()];
    for (const each of events) eventQueue.add(each);
    await passes(0);
    await end(0, UNAVAILABLE);
    await end(1, UNAVAILABLE);
    expect(sent()).toHaveLength(2);
    await passes(1_000);
    expect(sent()).toHaveLength(3);
    await end(2, UNAVAILABLE);
    await passes(1_998);
    expect(sent()).toHaveLength(3);
    await passes(2);
    expect(sent()).toHaveLength(4);
    await end(3, SENT);
    expect(sent()).toHaveLength(6);
    await end(4, SENT);
    await end(5, SENT);
    expect(new Set(sent())).toEqual(new Set(events.map(({ id }) => id)));
    expect(eventQueue.waiting).toBe(0);
    expect(messages).toEqual([
      'Customer events do not reach there: 503 Service Unavailable. 3 wait; trying again.',
      'Customer events reach there again.',
    ]);
    expect(await metric('customer_event_failures_total')).toBe(3);
    expect(await metric('customer_events_total{result="sent"}')).toBe(3);
  });

  it.each(['refused', 'unavailable'] as const)(
    'waits as long as Retry-After asks when %s',
    async (kind) => {
      const { eventQueue, sent, end } = setUp();
      eventQueue.add(event());
      await passes(0);
      await end(0, { kind, reason: '', retryAfterMs: 60_000 });
      await passes(59_999);
      expect(sent()).toHaveLength(1);
      await passes(1);
      expect(sent()).toHaveLength(2);
    },
  );

  it.each([
    ['events', { maxEvents: 3 }],
    ['characters', { maxCharacters: 3 * '{"event_id":"event-100"}'.length + 10 }],
  ])('keeps no more %s than it may, counts what is lost, and says so', async (_, bound) => {
    number = 99;
    const { eventQueue, messages, metric, end, sent } = setUp(bound);
    for (let i = 0; i < 5; i++) eventQueue.add(event());
    expect(eventQueue.waiting).toBe(3);
    expect(await metric('customer_events_waiting')).toBe(3);
    expect(await metric('customer_events_total{result="lost"}')).toBe(2);
    expect(messages).toEqual([
      '3 customer events wait for there, and no more are kept: events are lost from now on. Only a poll finds their customers.',
    ]);
    await passes(10_000);
    expect(messages.slice(1)).toEqual(['… and 1 more lost customer events.']);
    await end(0, SENT);
    const late = event();
    eventQueue.add(late);
    expect(eventQueue.waiting).toBe(3);
    await end(1, SENT);
    await end(2, SENT);
    expect(sent().at(-1)).toBe(late.id);
  });

  it('sends nothing more to a subscriber that is gone for good', async () => {
    const { eventQueue, sent, end, messages, metric } = setUp({ concurrency: 1 });
    eventQueue.add(event());
    eventQueue.add(event());
    await passes(0);
    await end(0, { kind: 'gone', reason: '410 Gone' });
    eventQueue.add(event());
    await passes(1_000_000);
    expect(sent()).toHaveLength(1);
    expect(messages).toEqual([
      'there wants no more customer events: 410 Gone. None is sent until a restart.',
    ]);
    expect(await metric('customer_events_total{result="lost"}')).toBe(3);
  });

  it('sends what waits before it closes', async () => {
    const { eventQueue, end, isClosed, messages } = setUp();
    eventQueue.add(event());
    const closed = eventQueue.close();
    await passes(0);
    expect(isClosed()).toBe(false);
    await end(0, SENT);
    await closed;
    expect(isClosed()).toBe(true);
    expect(messages).toEqual([]);
  });

  it('closes after two seconds all the same, and says what was not sent', async () => {
    const { eventQueue, isClosed, messages } = setUp();
    eventQueue.add(event());
    const closed = eventQueue.close();
    await passes(2_000);
    await closed;
    expect(isClosed()).toBe(true);
    expect(messages).toEqual([
      '1 customer event(s) were not sent to there. They are lost with their customers.',
    ]);
  });
});
