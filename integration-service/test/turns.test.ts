import { expect, it, onTestFinished, vi } from 'vitest';
import { LEASE_MS } from '../src/delivery/ledger/work.ts';
import { createTurns } from '../src/delivery/turns.ts';
import { newLocation, open } from './ledgers.ts';

const T0 = 1_700_000_000_000;

/** Two replicas with one ledger and one clock. */
async function setUp() {
  const ledger = { ...(await open(await newLocation('sqlite'))), isAlone: false };
  const clock = { now: T0 };
  const onError = vi.fn();
  const create = () =>
    createTurns({ leg: 'a-leg', ledger, maxMs: 300_000, now: () => clock.now, onError });
  return { one: create(), another: create(), clock, onError, endTurn: vi.spyOn(ledger, 'endTurn') };
}

it('stay with who polls again soon, without a word to the ledger in between', async () => {
  const { one, another, clock, endTurn } = await setUp();
  for (let poll = 0; poll < 5; poll++) {
    expect(await one.take(clock.now)).toMatchObject({ isMine: true });
    await one.end(10_000, 10_000, clock.now);
    clock.now += 10_000;
    expect(await another.take(undefined)).toEqual({
      ...{ isMine: false, waitMs: LEASE_MS - 10_000, polledAt: clock.now - 10_000 },
    });
  }
  expect(endTurn).not.toHaveBeenCalled();
});

it('go to another when who had it is gone', async () => {
  const { one, another, clock } = await setUp();
  await one.take(undefined);
  await one.end(10_000, 10_000, T0);
  clock.now += LEASE_MS;
  expect(await another.take(undefined)).toMatchObject({ isMine: true });
  expect(await one.take(T0)).toMatchObject({ isMine: false });
});

it('go to another at once when who had it stops', async () => {
  const { one, another } = await setUp();
  await one.take(undefined);
  await one.release(T0);
  expect(await another.take(undefined)).toMatchObject({ isMine: true });
  await one.release(T0);
  expect(await one.take(T0)).toMatchObject({ isMine: false, polledAt: T0 });
});

it('end when who had it does not poll soon', async () => {
  const { one, another, clock } = await setUp();
  await one.take(undefined);
  await one.end(60_000, 30_000, T0);
  clock.now += 29_999;
  expect(await another.take(undefined)).toEqual({ isMine: false, waitMs: 1, polledAt: T0 });
  expect(await one.take(T0)).toMatchObject({ isMine: false });
  clock.now += 1;
  expect(await another.take(undefined)).toMatchObject({ isMine: true });
});

it('are kept while a poll takes longer, and taken again after it', async () => {
  const { one, another, clock, endTurn, onError } = await setUp();
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  await one.take(undefined);
  await one.keepWhile(async () => {
    for (let i = 0; i < 6; i++) {
      clock.now += LEASE_MS / 4;
      vi.advanceTimersByTime(LEASE_MS / 4);
    }
    expect(await another.take(undefined)).toMatchObject({ isMine: false, waitMs: LEASE_MS });
  });
  vi.advanceTimersByTime(LEASE_MS);
  expect(endTurn).toHaveBeenCalledTimes(6);
  expect(await one.take(undefined)).toMatchObject({ isMine: true });
  expect(onError).not.toHaveBeenCalled();
});
