import { expect, it } from 'vitest';
import type { Claim } from '../delivery.ts';
import { createQueue } from './queue.ts';

const claims = (count: number) =>
  Array.from({ length: count }, (_, key) => ({ key }) as never as Claim);

function setUp({ concurrency = 16, atMost = 1 } = {}) {
  const clock = { now: 0 };
  const queue = createQueue({ concurrency, atMost, monotonicNow: () => clock.now });
  /** `count` deliveries were sent in `ms` milliseconds. */
  const send = (count: number, ms: number) => {
    queue.add(claims(count));
    clock.now += ms;
    for (let i = 0; i < count; i++) {
      queue.take();
      queue.end();
    }
  };
  return { queue, send, clock };
}

it('has room for what can be sent at once, and for nothing more as long as nothing is known', () => {
  const { queue } = setUp();
  expect([queue.room(0), queue.room(15), queue.room(16)]).toEqual([16, 1, 0]);
});

it('has room ahead for what is sent in 100 ms at the pace of the last batch, up to 1,024', () => {
  const { queue, send } = setUp();
  send(16, 16);
  expect(queue.room(16)).toBe(100);
  send(16, 2_000);
  expect(queue.room(16)).toBe(0);
  send(16, 640);
  expect(queue.room(10)).toBe(6 + 2);
  send(2_000, 1);
  expect(queue.room(0)).toBe(16 + 1_024);
});

it('does not take the time in which there was nothing to send for a slow pace', () => {
  const { queue, send, clock } = setUp();
  send(16, 16);
  clock.now += 10_000;
  expect(queue.room(16)).toBe(100);
});

it('has room again when half of what was claimed ahead is gone', () => {
  const { queue, send } = setUp();
  send(16, 16);
  queue.add(claims(queue.room(16)));
  for (let i = 0; i < 49; i++) queue.take();
  expect([queue.isLow(), queue.room(16)]).toEqual([false, 0]);
  queue.take();
  expect(queue.isLow()).toBe(true);
  queue.end();
  expect(queue.room(16)).toBeGreaterThan(0);
});

it('gives out what waits in its order', () => {
  const { queue } = setUp();
  queue.add(claims(2));
  expect(queue.take()).toEqual([{ key: 0 }]);
  queue.add(claims(1));
  expect([queue.take(), queue.take()]).toEqual([[{ key: 1 }], [{ key: 0 }]]);
  expect(queue.isEmpty()).toBe(true);
});

it('has room for one batch when none waits and one more may be under way, however fast they are', () => {
  const { queue, send } = setUp({ concurrency: 2, atMost: 3 });
  send(3, 1);
  expect([queue.room(0), queue.room(1), queue.room(2)]).toEqual([3, 3, 0]);
  queue.add(claims(1));
  expect(queue.room(0)).toBe(0);
});

it('gives out batches that are as large as they may be, in its order', () => {
  const { queue } = setUp({ atMost: 3 });
  queue.add(claims(4));
  expect(queue.take()).toEqual([{ key: 0 }, { key: 1 }, { key: 2 }]);
  expect(queue.isEmpty()).toBe(false);
  expect(queue.take()).toEqual([{ key: 3 }]);
  expect(queue.isEmpty()).toBe(true);
});
