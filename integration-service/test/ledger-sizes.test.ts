import { describe, expect, it } from 'vitest';
import type { Item } from '../src/delivery/delivery.ts';
import type { Ledger } from '../src/delivery/ledger/ledger.ts';
import { ingestList, LEDGER_KINDS, newLocation, open } from './ledgers.ts';

const FLOW = 'a-flow';
const keysOf = (count: number) => Array.from({ length: count }, (_, index) => `key-${index}`);
const numbersOf = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const itemOf = (key: string): Item => ({ key, lane: key, payload: '{}' });

/** More than the parameters of one statement in SQLite (32,766) or PostgreSQL (65,535). */
const MANY = 100_000;

/**
 * All uses of the ledger that take many items. They must also accept items that the ledger does not know.
 */
const USES: Record<string, (ledger: Ledger, count: number) => Promise<unknown>> = {
  list: (ledger, count) => ledger.list({ keys: keysOf(count) }, 9),
  count: (ledger, count) => ledger.count({ keys: keysOf(count) }, 9),
  countAttempts: (ledger, count) => ledger.countAttempts(numbersOf(count)),
  replay: (ledger, count) => ledger.replay(numbersOf(count), 0),
  release: (ledger, count) => ledger.release({ keys: keysOf(count) }, 0),
  markFound: (ledger, count) =>
    ledger.markFound(new Map(numbersOf(count).map((sequence) => [sequence, 'an id'])), 0),
};

describe.each(LEDGER_KINDS)('a ledger in %s', (kind) => {
  it.each(Object.entries(USES))('takes none, one and 100,000 at once: %s', async (_name, use) => {
    const ledger = await open(await newLocation(kind));
    await ingestList(ledger, FLOW, [itemOf('key-0')], { now: 0, surgeLimit: 0 });
    for (const count of [0, 1, MANY]) await use(ledger, count);
  });

  it('releases 20,000, whose time does not grow with their square', {
    timeout: 60_000,
  }, async () => {
    const ledger = await open(await newLocation(kind));
    const items = keysOf(20_000).map((key) => itemOf(key));
    await ingestList(ledger, FLOW, items, { now: 0, surgeLimit: 0 });
    expect(await ledger.release({}, 0)).toBe(20_000);
  });

  it('finds nothing among no keys, and the one among 100,000', async () => {
    const ledger = await open(await newLocation(kind));
    await ingestList(ledger, FLOW, [itemOf('key-7')], { now: 0 });
    expect(await ledger.list({ keys: [] }, 9)).toEqual([]);
    expect(await ledger.list({ keys: keysOf(MANY) }, 9)).toMatchObject([{ key: 'key-7' }]);
  });

  it('lists by several statuses and by time, in either order, and counts to a limit', async () => {
    const ledger = await open(await newLocation(kind));
    for (const [index, key] of keysOf(6).entries()) {
      const isHeld = index % 2 === 0;
      const options = { now: index * 10, ...(isHeld && { surgeLimit: 0 }) };
      await ingestList(ledger, FLOW, [itemOf(key)], options);
    }
    await ledger.claim(FLOW, { order: 'lane', limit: 1, now: 99 });
    const list = async (...values: Parameters<typeof ledger.list>) =>
      (await ledger.list(...values)).map(({ key }) => key.replace('key-', '')).join('');
    expect(await list({}, 9)).toBe('012345');
    expect(await list({}, 2, { order: 'desc' })).toBe('54');
    expect(await list({ status: 'held' }, 9)).toBe('024');
    expect(await list({ status: ['held', 'sending', 'held'] }, 9)).toBe('0124');
    expect(await list({ status: ['held', 'sending'] }, 2, { order: 'desc' })).toBe('42');
    expect(await list({ status: ['held', 'sending'] }, 9, { order: 'desc', after: 3 })).toBe('10');
    expect(await list({ status: [] }, 9)).toBe('');
    expect(await list({ from: 20, to: 40 }, 9)).toBe('23');
    expect(await list({ status: ['pending', 'held'], from: 20 }, 9, { after: 3 })).toBe('345');
    expect(await ledger.count({}, 4)).toBe(4);
    expect(await ledger.count({ status: ['held', 'sending'] }, 9)).toBe(4);
    expect(await ledger.count({ status: ['held', 'sending'], to: 20 }, 9)).toBe(2);
  });
});
