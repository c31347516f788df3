import { HttpError } from 'service-kit/errors';
import { expect, it } from 'vitest';
import type { Make } from '../src/delivery/flow.ts';
import { createGroupChange, oneByOne } from '../src/delivery/ingest/group-change.ts';
import type { LedgerTransaction, Produce } from '../src/delivery/ledger/ledger.ts';

const refusal = new HttpError(409, 'taken');
const broken = new Error('the disk is full');

/** Commits that end one by one, when the test lets them. */
function setUp({ isGrouped = true } = {}) {
  const commits: { keys: string[]; end: PromiseWithResolvers<void> }[] = [];
  const calls: (readonly string[])[] = [];
  const make: Make<string, string> = async (_transaction, keys) => {
    calls.push(keys);
    if (keys.includes('breaks')) throw broken;
    return keys.map((key) => (key === 'refused' ? refusal : madeOf(key)));
  };
  const change = createGroupChange({
    isGrouped,
    async write(produce: Produce) {
      const items = [...(await produce({} as LedgerTransaction))];
      const commit = { keys: items.map(({ key }) => key), end: Promise.withResolvers<void>() };
      commits.push(commit);
      await commit.end.promise;
    },
  });
  const untilCommit = (number: number) =>
    expect.poll(() => commits.length, { interval: 1 }).toBeGreaterThanOrEqual(number);
  return { commits, calls, make, change, untilCommit };
}

function madeOf(key: string) {
  return { result: `made ${key}`, items: [{ key, lane: key, payload: '{}' }] };
}

it('commits together what comes during a commit, in its order', async () => {
  const { commits, calls, make, change, untilCommit } = setUp();
  const other: typeof make = async (_, keys) => keys.map(madeOf);
  const changes = [change(make, 'a')];
  await untilCommit(1);
  changes.push(change(make, 'b'), change(make, 'c'), change(other, 'd'), change(make, 'e'));
  let isDone = false;
  void changes[1]?.then(() => {
    isDone = true;
  });
  commits[0]?.end.resolve();
  await changes[0];
  await untilCommit(2);
  expect(isDone).toBe(false);
  commits[1]?.end.resolve();
  expect(await Promise.all(changes)).toEqual(['made a', 'made b', 'made c', 'made d', 'made e']);
  expect(commits.map(({ keys }) => keys)).toEqual([['a'], ['b', 'c', 'd', 'e']]);
  expect(calls).toEqual([['a'], ['b', 'c'], ['e']]);
});

it('commits each alone where several may write', async () => {
  const { commits, make, change, untilCommit } = setUp({ isGrouped: false });
  const changes = [change(make, 'a'), change(make, 'b'), change(make, 'c')];
  await untilCommit(3);
  for (const { end } of commits) end.resolve();
  await Promise.all(changes);
  expect(commits.map(({ keys }) => keys)).toEqual([['a'], ['b'], ['c']]);
});

it('lets a refused change fail alone, and all of a commit that fails', async () => {
  const { commits, make, change, untilCommit } = setUp();
  const first = change(make, 'a');
  await untilCommit(1);
  const group = Promise.allSettled(['b', 'refused', 'c'].map((key) => change(make, key)));
  commits[0]?.end.resolve();
  await first;
  await untilCommit(2);
  expect(commits[1]?.keys).toEqual(['b', 'c']);
  commits[1]?.end.resolve();
  expect(await group).toEqual([
    { status: 'fulfilled', value: 'made b' },
    { status: 'rejected', reason: refusal },
    { status: 'fulfilled', value: 'made c' },
  ]);

  const last = change(make, 'd');
  await untilCommit(3);
  const others = oneByOne<string, string>(async (_, key) => madeOf(key));
  const failing = [change(make, 'refused'), change(others, 'e'), change(make, 'breaks')];
  const reasons = Promise.allSettled(failing);
  commits[2]?.end.resolve();
  await last;
  expect((await reasons).map((each) => each.status === 'rejected' && each.reason)).toEqual([
    refusal,
    broken,
    broken,
  ]);
  expect(commits).toHaveLength(3);
  const after = change(make, 'f');
  await untilCommit(4);
  commits[3]?.end.resolve();
  expect(await after).toBe('made f');
});

it('makes changes one by one: a refusal is for one, an error for all', async () => {
  const make = oneByOne<string, string>(async (_, key) => {
    if (key === 'refused') throw refusal;
    if (key === 'breaks') throw broken;
    return madeOf(key);
  });
  const transaction = {} as LedgerTransaction;
  expect(await make(transaction, ['a', 'refused', 'b'])).toEqual([
    madeOf('a'),
    refusal,
    madeOf('b'),
  ]);
  await expect(make(transaction, ['a', 'breaks'])).rejects.toBe(broken);
});
