import { expect, it, onTestFinished, vi } from 'vitest';
import { createPollLease } from '../src/delivery/ingest/poll-lease.ts';
import { LEASE_MS } from '../src/delivery/ledger/claims.ts';
import { newLocation, open } from './ledgers.ts';

const T0 = 1_700_000_000_000;

/** Two replicas with one ledger and one clock. */
async function setUp() {
  const opened = await open(await newLocation('sqlite'));
  const clock = { now: T0 };
  const onError = vi.fn();
  const endPollLease = vi.spyOn(opened, 'endPollLease');
  const create = (isAlone: boolean) => {
    const ledger = { ...opened, isAlone };
    return createPollLease({
      of: { flow: 'a-flow', source: 'crm' },
      ledger,
      intervalMs: 30_000,
      now: () => clock.now,
      onError,
    });
  };
  return { one: create(true), another: create(false), create, clock, onError, endPollLease };
}

it('stay with who is alone and polls again soon, without a word to the ledger in between', async () => {
  const { one, another, clock, endPollLease } = await setUp();
  for (let poll = 0; poll < 5; poll++) {
    expect(await one.take(clock.now)).toMatchObject({ kind: 'mine' });
    await one.end(10_000, clock.now);
    clock.now += 10_000;
    expect(await another.take(undefined)).toEqual({
      ...{ kind: 'taken', waitMs: LEASE_MS - 10_000, polledAt: clock.now - 10_000 },
    });
  }
  expect(endPollLease).not.toHaveBeenCalled();
});

it('end with each poll among replicas, who hear of it at once', async () => {
  const { another, create, clock } = await setUp();
  const third = create(false);
  for (const [mine, theirs] of [
    [another, third],
    [third, another],
  ] as const) {
    expect(await mine.take(undefined)).toMatchObject({ kind: 'mine' });
    const polledAt = clock.now;
    await mine.end(10_000, polledAt);
    expect(await theirs.take(undefined)).toEqual({ kind: 'taken', waitMs: 10_000, polledAt });
    clock.now += 10_000;
  }
});

it('tell of the first poll that succeeded at once: others wait for what the next one brings', async () => {
  const { one, another } = await setUp();
  await one.take(undefined);
  await one.end(10_000, T0);
  expect(await another.take(undefined)).toMatchObject({ kind: 'taken', polledAt: T0 });
});

it('go to another when who had it is gone', async () => {
  const { one, another, clock } = await setUp();
  await one.take(undefined);
  await one.end(10_000, T0);
  clock.now += LEASE_MS;
  expect(await another.take(undefined)).toMatchObject({ kind: 'mine' });
  expect(await one.take(T0)).toMatchObject({ kind: 'taken' });
});

it('go to another at once when who had it stops', async () => {
  const { one, another } = await setUp();
  await one.take(undefined);
  await one.release(T0);
  expect(await another.take(undefined)).toMatchObject({ kind: 'mine' });
  await one.release(T0);
  expect(await one.take(T0)).toMatchObject({ kind: 'taken', polledAt: T0 });
});

it('end when who had it does not poll soon', async () => {
  const { one, another, clock } = await setUp();
  await one.take(undefined);
  await one.end(60_000, T0);
  clock.now += 29_999;
  expect(await another.take(undefined)).toEqual({ kind: 'taken', waitMs: 1, polledAt: T0 });
  expect(await one.take(T0)).toMatchObject({ kind: 'taken' });
  clock.now += 1;
  expect(await another.take(undefined)).toMatchObject({ kind: 'mine' });
});

it('are kept while a poll takes longer, and taken again after it', async () => {
  const { one, another, clock, endPollLease, onError } = await setUp();
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  await one.take(undefined);
  await one.keepWhile(async () => {
    for (let i = 0; i < 6; i++) {
      clock.now += LEASE_MS / 4;
      vi.advanceTimersByTime(LEASE_MS / 4);
    }
    expect(await another.take(undefined)).toMatchObject({ kind: 'taken', waitMs: LEASE_MS });
  });
  vi.advanceTimersByTime(LEASE_MS);
  expect(endPollLease).toHaveBeenCalledTimes(6);
  expect(await one.take(undefined)).toMatchObject({ kind: 'mine' });
  expect(onError).not.toHaveBeenCalled();
});
