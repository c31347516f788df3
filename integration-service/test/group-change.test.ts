import { HttpError } from 'service-kit/errors';
import { expect, it } from 'vitest';
import type { Item } from '../src/delivery/delivery.ts';
import { createGroupChange } from '../src/delivery/ingest/group-change.ts';
import type { LedgerTransaction, Produce } from '../src/delivery/ledger/ledger.ts';

const itemOf = (key: string): Item => ({ key, lane: key, payload: '{}' });
const makes =
  (key: string): Produce =>
  async () => [itemOf(key)];

/** Commits that end one by one, when the test lets them. */
function setUp() {
  const commits: { keys: string[]; end: PromiseWithResolvers<void> }[] = [];
  const change = createGroupChange(async (produce) => {
    const items = [...(await produce({} as LedgerTransaction))];
    const commit = { keys: items.map(({ key }) => key), end: Promise.withResolvers<void>() };
    commits.push(commit);
    await commit.end.promise;
  });
  const untilCommit = (number: number) =>
    expect.poll(() => commits.length, { interval: 1 }).toBe(number);
  return { commits, change, untilCommit };
}

it('commits together what comes during a commit, in its order', async () => {
  const { commits, change, untilCommit } = setUp();
  const changes = [change(makes('a'))];
  await untilCommit(1);
  for (const key of ['b', 'c', 'd']) changes.push(change(makes(key)));
  let isDone = false;
  void changes[1]?.then(() => {
    isDone = true;
  });
  commits[0]?.end.resolve();
  await changes[0];
  await untilCommit(2);
  expect(isDone).toBe(false);
  commits[1]?.end.resolve();
  await Promise.all(changes);
  expect(commits.map(({ keys }) => keys)).toEqual([['a'], ['b', 'c', 'd']]);
});

it('lets a refused change fail alone, and all of a commit that fails', async () => {
  const { commits, change, untilCommit } = setUp();
  const first = change(makes('a'));
  await untilCommit(1);
  const refusal = new HttpError(409, 'taken');
  const refuses: Produce = () => Promise.reject(refusal);
  const group = [change(makes('b')), change(refuses), change(makes('c'))];
  const ended = Promise.allSettled(group);
  commits[0]?.end.resolve();
  await first;
  await untilCommit(2);
  expect(commits[1]?.keys).toEqual(['b', 'c']);
  commits[1]?.end.resolve();
  expect(await ended).toEqual([
    { status: 'fulfilled', value: undefined },
    { status: 'rejected', reason: refusal },
    { status: 'fulfilled', value: undefined },
  ]);

  const broken = new Error('the disk is full');
  const breaks: Produce = () => Promise.reject(broken);
  const last = change(makes('d'));
  await untilCommit(3);
  const failing = Promise.allSettled([change(makes('e')), change(refuses), change(breaks)]);
  commits[2]?.end.resolve();
  await last;
  const reasons = (await failing).map((each) => each.status === 'rejected' && each.reason);
  expect(reasons).toEqual([broken, refusal, broken]);
  expect(commits).toHaveLength(3);
  const after = change(makes('f'));
  await untilCommit(4);
  commits[3]?.end.resolve();
  await after;
});
