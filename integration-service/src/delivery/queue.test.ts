import { expect, it } from 'vitest';
import type { Claim } from './delivery.ts';
import { createQueue } from './queue.ts';

const claims = (count: number) =>
  Array.from({ length: count }, (_, key) => ({ key }) as never as Claim);

function setUp(concurrency = 16) {
  const clock = { now: 0 };
  const queue = createQueue({ concurrency, monotonicNow: () => clock.now });
  /** So many were sent in so many milliseconds. */
  const send = (count: number, ms: number) => {
    queue.add(claims(count));
    while (!queue.isEmpty()) queue.take();
    for (let i = 0; i < count; i++) queue.end();
    clock.now += ms;
  };
  return { queue, send };
}

it('has room for what can be sent at once, and for nothing more as long as nothing is known', () => {
  const { queue } = setUp();
  expect([queue.room(0), queue.room(15), queue.room(16)]).toEqual([16, 1, 0]);
});

it('has room ahead for what is sent in 50 ms at the pace of the last batch, up to 512', () => {
  const { queue, send } = setUp();
  send(16, 8);
  expect(queue.room(16)).toBe(100);
  send(16, 1_000);
  expect(queue.room(16)).toBe(0);
  send(16, 320);
  expect(queue.room(10)).toBe(6 + 2);
  send(1_000, 1);
  expect(queue.room(0)).toBe(16 + 512);
});

it('has room for none as long as some wait, and gives them out in their order', () => {
  const { queue } = setUp();
  queue.add(claims(3));
  expect(queue.room(0)).toBe(0);
  expect([queue.take(), queue.take()]).toEqual(claims(2));
  expect(queue.room(0)).toBe(0);
  queue.take();
  expect(queue.isEmpty()).toBe(true);
  expect(queue.room(0)).toBe(16);
});
