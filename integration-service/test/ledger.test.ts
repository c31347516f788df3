import { MAX_WAIT_MS } from 'service-kit/retry';
import { describe, expect, it } from 'vitest';
import type { Claim, Item, Transition } from '../src/delivery/delivery.ts';
import { LEASE_MS } from '../src/delivery/ledger/claims.ts';
import type { LeaseRequest, RejectedRecord } from '../src/delivery/ledger/ledger.ts';
import { READS_OF_RELEASED } from '../src/delivery/transition.ts';
import { ingestList, LEDGER_KINDS, newLocation, open, SOURCE } from './ledgers.ts';

const FLOW = 'a-flow';
const OF = { flow: FLOW, source: SOURCE };
const T0 = 1_700_000_000_000;

const itemOf = (key: string, lane = key): Item => ({ key, lane, payload: payloadOf(key) });
const payloadOf = (key: string) => JSON.stringify({ for: key });

const delivered = (claim: Claim): { claim: Claim; transition: Transition } => ({
  claim,
  transition: {
    status: 'delivered',
    attempts: claim.attempts,
    reads: 0,
    nextAttemptAt: null,
    lastError: null,
    event: { what: 'delivered', attempt: claim.attempts, statusCode: 201, reason: 'request-1' },
  },
});

const failed = (
  claim: Claim,
  status: 'pending' | 'unknown' | 'dead' | 'held',
  nextAttemptAt: number | null,
): { claim: Claim; transition: Transition } => ({
  claim,
  transition: {
    status,
    attempts: claim.attempts,
    reads: 0,
    nextAttemptAt,
    lastError: `${status}: no luck`,
    event: { what: 'transient', attempt: claim.attempts, statusCode: 503, reason: 'no luck' },
  },
});

describe.each(LEDGER_KINDS)('a ledger in %s', (kind) => {
  async function setUp() {
    const ledger = await open(await newLocation(kind));
    const ingest = (keys: string[], now = T0) =>
      ingestList(
        ledger,
        FLOW,
        keys.map((key) => itemOf(key)),
        { now },
      );
    const claimOne = async (now = T0) => {
      const [claim] = await ledger.claim(FLOW, { order: 'lane', limit: 1, now });
      if (!claim) throw new Error('nothing to claim');
      return claim;
    };
    const keys = async (claims: Promise<Claim[]>) => (await claims).map(({ key }) => key);
    return { ledger, ingest, claimOne, keys };
  }

  it('knows what it has seen, each key once', async () => {
    const { ledger, ingest } = await setUp();
    const first = await ingest(['b', 'a', 'b']);
    expect(first).toEqual({ new: 2, held: 0, known: 1 });
    expect(await ingest(['a', 'c', 'b'])).toEqual({ new: 1, held: 0, known: 2 });
    expect((await ledger.list({}, 10)).map(({ key }) => key)).toEqual(['b', 'a', 'c']);
    expect(await ingest([])).toEqual({ new: 0, held: 0, known: 0 });
  });

  it('lets sources write the same items at once, each in its own order', async () => {
    const location = await newLocation(kind);
    const options = { hasThread: true };
    const [one, other] = [await open(location, options), await open(location, options)];
    for (let round = 0; round < 10; round++) {
      const keys = Array.from({ length: 500 }, (_, i) => `${round}-${i}`);
      const items = keys.map((key) => itemOf(key));
      const counts = await Promise.all([
        ingestList(one, FLOW, items, { now: T0 }),
        ingestList(other, FLOW, items.toReversed(), { now: T0 }),
      ]);
      expect(counts.reduce((sum, { new: fresh }) => sum + fresh, 0)).toBe(500);
    }
  });

  it('keeps an item of thousands, of keys of any form, with what is to be sent', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    const odd = ['__proto__', ' a ', "'; drop table deliveries; --", 'ü🎁', '%', 'x'.repeat(1_024)];
    const many = [...odd, ...Array.from({ length: 2_000 }, (_, i) => `key-${i}`)];
    expect((await ingest(many)).new).toBe(many.length);
    expect((await ingest(many)).known).toBe(many.length);
    expect((await ledger.list({}, 6)).map(({ key }) => key)).toEqual(odd);
    expect(await claimOne()).toMatchObject({ key: '__proto__', payload: payloadOf('__proto__') });
  });

  it('keeps where a source goes on together with what it showed last, or neither', async () => {
    const { ledger, keys } = await setUp();
    const ingest = (prefix: string, position: unknown, isWhole = false) =>
      ingestList(
        ledger,
        FLOW,
        Array.from({ length: 1_600 }, (_, i) => itemOf(`${prefix}${i}`)),
        { now: T0 + 5, progress: { position, isWhole } },
      );
    expect(await ledger.readProgress(OF)).toEqual({
      position: undefined,
      sweptAt: undefined,
    });
    await ingest('a', { after: 'a' }, true);
    expect(await ledger.readProgress(OF)).toEqual({
      position: { after: 'a' },
      sweptAt: T0 + 5,
    });
    const broken = { toJSON: () => expect.unreachable('on purpose') };
    await expect(ingest('b', broken)).rejects.toThrow('on purpose');
    expect(await ledger.readProgress(OF)).toMatchObject({ position: { after: 'a' } });
    expect(await ledger.countByStatus(FLOW)).toMatchObject({ pending: 2_600 });
    await ingestList(ledger, FLOW, [], {
      now: T0 + 9,
      progress: { position: undefined, isWhole: false },
    });
    expect(await ledger.readProgress(OF)).toEqual({
      position: undefined,
      sweptAt: T0 + 5,
    });
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 1, now: T0 + 9 }))).toEqual([
      'a0',
    ]);
  });

  it('forgets where a source goes on, and not when it was read whole', async () => {
    const { ledger } = await setUp();
    const progress = { position: { after: 'a' }, isWhole: true };
    await ingestList(ledger, FLOW, [], { now: T0, progress });
    await ingestList(ledger, 'another', [], { now: T0, progress });
    await ledger.forgetPosition(OF);
    expect(await ledger.readProgress(OF)).toEqual({ position: undefined, sweptAt: T0 });
    expect((await ledger.readProgress({ ...OF, flow: 'another' })).position).toEqual({
      after: 'a',
    });
  });

  it('holds a poll with more new items than the limit, all of it, and lets it go', async () => {
    const { ledger, ingest, keys } = await setUp();
    await ingest(['known']);
    const items = ['known', 'a', 'b', 'c'].map((key) => itemOf(key));
    expect(await ingestList(ledger, FLOW, items, { now: T0, surgeLimit: 3 })).toEqual({
      ...{ new: 3, held: 0, known: 1 },
    });
    const more = ['a', 'd', 'e', 'f', 'g'].map((key) => itemOf(key));
    const onFresh = () => expect.unreachable();
    expect(await ingestList(ledger, FLOW, more, { now: T0, surgeLimit: 3, onFresh })).toEqual({
      ...{ new: 0, held: 4, known: 1 },
    });
    expect((await ledger.list({ status: 'held' }, 9)).map(({ key }) => key)).toEqual([
      ...['d', 'e', 'f', 'g'],
    ]);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 10, now: T0 }))).toEqual([
      'known',
      'a',
      'b',
      'c',
    ]);
    expect(await ledger.release({ flow: 'another-flow' }, T0)).toBe(0);
    expect(await ledger.release({ flow: FLOW }, T0 + 5)).toBe(4);
    expect(await ledger.release({}, T0 + 5)).toBe(0);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 10, now: T0 + 5 }))).toEqual([
      'd',
      'e',
      'f',
      'g',
    ]);
    expect((await ledger.get(FLOW, 'd'))?.history).toMatchObject([
      { what: 'ingested', at: T0 },
      { what: 'released', at: T0 + 5 },
    ]);
  });

  it('gives a due delivery to one worker, and counts the attempt', async () => {
    const { ledger, ingest, keys } = await setUp();
    await ingest(['a', 'b', 'c']);
    const claims = await ledger.claim(FLOW, { order: 'lane', limit: 2, now: T0 });
    expect(claims).toMatchObject([
      { key: 'a', attempts: 1, flow: FLOW, lane: 'a', createdAt: T0 },
      { key: 'b', attempts: 1 },
    ]);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 }))).toEqual(['c']);
    expect(await ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 })).toEqual([]);
    expect(await ledger.claim('another-flow', { order: 'lane', limit: 9, now: T0 })).toEqual([]);
  });

  it('keeps what became of an attempt, and its history', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a']);
    const strange = failed(await claimOne(), 'pending', T0 + 1_000);
    const said = 'no\0luck\ud800';
    strange.transition.lastError = said;
    strange.transition.event = { ...strange.transition.event, what: 'transient', reason: said };
    await ledger.commit([strange], T0 + 1);
    expect((await ledger.list({}, 1))[0]?.last_error).toBe('no\ufffdluck\ufffd');
    expect(await ledger.claim(FLOW, { order: 'lane', limit: 1, now: T0 + 999 })).toEqual([]);
    expect(await ledger.nextDueAt(FLOW, T0)).toBe(T0 + 1_000);
    await ledger.commit([delivered(await claimOne(T0 + 1_000))], T0 + 1_001);
    expect(await ledger.nextDueAt(FLOW, T0)).toBeUndefined();
    const found = await ledger.get(FLOW, 'a');
    expect(found?.delivery).toMatchObject({
      status: 'delivered',
      attempts: 2,
      last_error: null,
      created_at: T0,
      updated_at: T0 + 1_001,
    });
    const nothing = { attempt: null, status_code: null, reason: null, next_attempt_at: null };
    expect(found?.history.map((event) => ({ ...event }))).toEqual([
      { ...nothing, at: T0, what: 'ingested' },
      {
        at: T0 + 1,
        what: 'transient',
        attempt: 1,
        status_code: 503,
        reason: 'no\ufffdluck\ufffd',
        next_attempt_at: T0 + 1_000,
      },
      {
        at: T0 + 1_001,
        what: 'delivered',
        attempt: 2,
        status_code: 201,
        reason: 'request-1',
        next_attempt_at: null,
      },
    ]);
    expect(await ledger.get(FLOW, 'b')).toBeUndefined();
  });

  it('gives the longest due first', async () => {
    const { ledger, ingest, keys } = await setUp();
    await ingest(['a', 'b', 'c']);
    const [a, b] = await ledger.claim(FLOW, { order: 'lane', limit: 2, now: T0 });
    await ledger.commit(
      [failed(a as Claim, 'pending', T0 + 20), failed(b as Claim, 'pending', T0 + 10)],
      T0,
    );
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 1, now: T0 + 30 }))).toEqual([
      'c',
    ]);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 1, now: T0 + 30 }))).toEqual([
      'b',
    ]);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 1, now: T0 + 30 }))).toEqual([
      'a',
    ]);
  });

  // A delivery whose key equals its customer is not in the index of lanes.
  it.each([
    ['create-1', 'update-1', 'update-1b'],
    ['one', 'update-1', 'update-1b'],
    ['create-1', 'one', 'update-1b'],
  ])(
    'keeps the deliveries of one customer in order, and nobody else waiting: %s, %s, %s',
    async (...lane) => {
      const { ledger, claimOne, keys } = await setUp();
      const [key1, key2, key3] = lane;
      const items = [
        itemOf(key1, 'one'),
        itemOf(key2, 'one'),
        itemOf('two', 'two'),
        itemOf(key3, 'one'),
      ];
      await ingestList(ledger, FLOW, items, { now: T0 });
      const first = await claimOne();
      expect(first.key).toBe(key1);
      expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 }))).toEqual(['two']);
      await ledger.commit([failed(first, 'pending', T0 + 1_000)], T0);
      expect(await ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 })).toEqual([]);
      await ledger.commit([failed(await claimOne(T0 + 1_000), 'unknown', T0 + 2_000)], T0);
      expect(await ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 + 5_000 })).toEqual([]);
      const [unknown] = await ledger.claimUnknown(FLOW, { limit: 1, now: T0 + 2_000 });
      await ledger.commit([delivered(unknown as Claim)], T0);
      const second = await claimOne();
      expect(second.key).toBe(key2);
      await ledger.commit([failed(second, 'dead', null)], T0);
      expect((await claimOne()).key).toBe(key3);
    },
  );

  it.each([
    ['create-1', 'update-1'],
    ['one', 'update-1'],
    ['create-1', 'one'],
  ])(
    'does not replay the first of a lane while a later one is under way: %s, %s',
    async (key1, key2) => {
      const { ledger, claimOne, keys } = await setUp();
      const items = [itemOf(key1, 'one'), itemOf(key2, 'one')];
      await ingestList(ledger, FLOW, items, { now: T0 });
      const first = await claimOne();
      await ledger.commit([failed(first, 'dead', null)], T0);
      const second = await claimOne();
      await ledger.replay([first.sequence], T0);
      expect(await ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 })).toEqual([]);
      await ledger.commit([delivered(second)], T0);
      expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 }))).toEqual([key1]);
    },
  );

  it('writes one of two results for one delivery: the one with the token that holds', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a']);
    const stale = await claimOne();
    await ledger.recover(FLOW, T0, { isAlone: true });
    const [current] = await ledger.claimUnknown(FLOW, { limit: 1, now: T0 });
    const results = [failed(stale, 'dead', null), delivered(current as Claim)];
    expect((await ledger.commit(results, T0)).lost).toEqual([stale]);
    expect((await ledger.get(FLOW, 'a'))?.history.map(({ what }) => what)).toEqual([
      'ingested',
      'lease_lost',
      'delivered',
    ]);
  });

  it('does not let a worker write that has lost its lease', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a']);
    const stale = await claimOne();
    expect(await ledger.recover(FLOW, T0 + LEASE_MS - 1)).toEqual([]);
    expect(await ledger.recover(FLOW, T0 + LEASE_MS)).toHaveLength(1);
    expect(await ledger.renew([stale], T0)).toEqual([stale]);
    expect((await ledger.commit([delivered(stale)], T0)).lost).toEqual([stale]);
    expect((await ledger.get(FLOW, 'a'))?.delivery.status).toBe('unknown');
    expect((await ledger.get(FLOW, 'a'))?.history).toMatchObject([
      { what: 'ingested' },
      { what: 'lease_lost', attempt: 1 },
    ]);
    const [current] = await ledger.claimUnknown(FLOW, { limit: 1, now: T0 + LEASE_MS });
    expect((await ledger.commit([delivered(current as Claim)], T0)).lost).toEqual([]);
    expect((await ledger.get(FLOW, 'a'))?.delivery.status).toBe('delivered');
  });

  it('lets a worker keep its claims by renewing them', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a']);
    const claim = await claimOne();
    expect(await ledger.renew([claim], T0 + LEASE_MS - 1)).toEqual([]);
    expect(await ledger.recover(FLOW, T0 + LEASE_MS)).toEqual([]);
    expect(await ledger.recover(FLOW, T0 + 2 * LEASE_MS - 1)).toHaveLength(1);
  });

  it('gives an unknown delivery to one worker when it is due, to another when that is gone', async () => {
    const { ledger, ingest, claimOne, keys } = await setUp();
    await ingest(['a']);
    await ledger.commit([failed(await claimOne(), 'unknown', T0 + 500)], T0);
    const claimUnknown = (now: number) => keys(ledger.claimUnknown(FLOW, { limit: 5, now }));
    expect(await claimUnknown(T0 + 499)).toEqual([]);
    expect(await claimUnknown(T0 + 500)).toEqual(['a']);
    expect(await claimUnknown(T0 + 500)).toEqual([]);
    expect(await claimUnknown(T0 + 500 + LEASE_MS)).toEqual(['a']);
    await ledger.recover(FLOW, T0 + 600, { isAlone: true });
    expect(await claimUnknown(T0 + 600)).toEqual(['a']);
  });

  it('takes over at once what a worker left that is certainly gone', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a', 'b']);
    await claimOne();
    expect(await ledger.recover(FLOW, T0 + 1, { isAlone: true })).toHaveLength(1);
    expect((await ledger.get(FLOW, 'a'))?.delivery).toMatchObject({
      status: 'unknown',
      next_attempt_at: T0 + 1,
    });
    expect((await ledger.get(FLOW, 'b'))?.delivery.status).toBe('pending');
  });

  it('cuts short what a clock that was wrong made wait, and leases that it made too long', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    const twoDaysLater = T0 + 172_800_000;
    await ingest(['a', 'b'], twoDaysLater);
    await claimOne(twoDaysLater);
    await ledger.recover(FLOW, T0);
    expect((await ledger.get(FLOW, 'a'))?.delivery.status).toBe('unknown');
    expect((await claimOne(T0)).key).toBe('b');

    await ingestList(ledger, FLOW, [itemOf('c')], { now: T0 });
    await ledger.commit([failed(await claimOne(), 'pending', T0 + MAX_WAIT_MS)], T0);
    await ledger.recover(FLOW, T0);
    expect(await ledger.claim(FLOW, { order: 'lane', limit: 1, now: T0 })).toEqual([]);
  });

  it('adopts what the target holds, ingested or not, and sends none of it', async () => {
    const { ledger, ingest, keys } = await setUp();
    await ingest(['a', 'b']);
    expect(await ledger.isAdopted(FLOW)).toBe(false);
    const held = ['b', 'c', 'c'].map((key) => ({
      ...itemOf(key),
      targetId: `request-of-${key}`,
    }));
    await ledger.adopt(FLOW, held, T0 + 1);
    await ledger.adopt(FLOW, held, T0 + 2);
    await ledger.setAdopted(FLOW, T0 + 2);
    expect(await ledger.isAdopted(FLOW)).toBe(true);
    expect(await ledger.isAdopted('another-flow')).toBe(false);
    expect((await ingest(['a', 'b', 'c'])).known).toBe(3);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 + 9 }))).toEqual(['a']);
    expect((await ledger.get(FLOW, 'b'))?.history).toMatchObject([
      { what: 'ingested', at: T0 },
      { what: 'adopted', at: T0 + 1, reason: 'request-of-b' },
    ]);
    expect((await ledger.get(FLOW, 'c'))?.history).toMatchObject([
      { what: 'adopted', at: T0 + 1, reason: 'request-of-c' },
    ]);
  });

  it('remembers a rejected record, each once, and which of them a person has accepted', async () => {
    const { ledger } = await setUp();
    const records = ['b', 'a\0\ud800', 'b'].map((id, position) => {
      return { fingerprint: `print of ${id.slice(0, 1)}`, position, id, reason: 'no id' };
    });
    expect(await ledger.reject(OF, records, T0)).toHaveLength(2);
    expect(await ledger.reject(OF, records, T0)).toEqual([]);
    expect(await ledger.reject({ ...OF, flow: 'another-flow' }, records, T0)).toHaveLength(2);
    expect(await ledger.countUnaccepted(OF)).toBe(2);
    const another = { fingerprint: 'print of c', position: null, id: null, reason: 'empty' };
    await ledger.acceptRejected(OF, [records[0] as RejectedRecord, another], T0);
    expect(await ledger.countUnaccepted(OF)).toBe(1);
    const [a, b] = [
      { ...records[1], isAccepted: false },
      { ...records[0], isAccepted: true },
    ];
    expect(await ledger.rejectedRecords(OF, 9)).toEqual([a, b, { ...another, isAccepted: true }]);
    expect(await ledger.rejectedRecords(OF, 1)).toEqual([a]);
    expect(await ledger.rejectedRecords(OF, 1, 'print of a')).toEqual([b]);
    expect(await ledger.countUnaccepted({ ...OF, flow: 'another-flow' })).toBe(2);
  });

  it('gives the turn to poll to one at a time, with how far the source was read', async () => {
    const { ledger } = await setUp();
    const take = (now: number, options: Partial<LeaseRequest> = {}) =>
      ledger.takePollLease(OF, { now, forMs: 1_000, maxMs: 10_000, ...options });
    const mine = (from: number) => ({
      ...{ kind: 'mine', endsAt: from + 1_000 },
      ...{ position: undefined, sweptAt: undefined },
    });
    expect(await take(T0)).toEqual(mine(T0));
    expect(await take(T0 + 400)).toEqual({ kind: 'taken', waitMs: 600, polledAt: null });
    await ledger.endPollLease(OF, T0 + 5_000, T0 + 450);
    expect(await take(T0 + 1_000)).toEqual({ kind: 'taken', waitMs: 4_000, polledAt: T0 + 450 });
    expect(await take(T0 + 5_000)).toEqual(mine(T0 + 5_000));
    await ledger.endPollLease(OF, T0 + 5_000);
    expect(await take(T0 + 4_999)).toEqual({ kind: 'taken', waitMs: 1, polledAt: T0 + 450 });
    const progress = { position: { after: 7 }, isWhole: true };
    await ingestList(ledger, FLOW, [], { now: T0 + 9, progress });
    const known = { kind: 'mine', position: { after: 7 }, sweptAt: T0 + 9 };
    expect(await take(T0 - 86_400_000)).toMatchObject(known);
    expect(await take(T0 - 86_400_000, { maxMs: 0 })).toMatchObject(known);
  });

  it('says that it is closed to whoever asks it later, or at that moment', async () => {
    const ledger = await open(await newLocation(kind));
    const asked = Array.from({ length: 20 }, () => ledger.countByStatus(FLOW));
    const closed = ledger.close();
    const answers = await Promise.allSettled([...asked, ledger.countByStatus(FLOW)]);
    await closed;
    const reasons = answers.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    expect(reasons.length).toBeGreaterThan(0);
    for (const reason of reasons) {
      expect(reason).toMatchObject({ fault: 'unreachable', message: 'The ledger is closed.' });
    }
  });

  it('does what is under way when it is closed whole, or fails it and has done nothing', async () => {
    const location = await newLocation(kind);
    const ledger = await open(location);
    let times = 0;
    const items = {
      *[Symbol.iterator]() {
        times += 1;
        for (let i = 0; i < 2_000; i++) {
          if (times === 2 && i === 700) void ledger.close();
          yield itemOf(`customer-${i}`);
        }
      },
    };
    const isDone = await ingestList(ledger, FLOW, items, { now: T0, surgeLimit: 0 }).then(
      () => true,
      () => false,
    );
    expect(times).toBe(2);
    expect(await (await open(location)).list({}, 9_999)).toHaveLength(isDone ? 2_000 : 0);
  });

  it('lets the turn be taken again by who has it, and by nobody else', async () => {
    const { ledger } = await setUp();
    const take = (now: number, options: Partial<LeaseRequest>) =>
      ledger.takePollLease(OF, { now, forMs: 1_000, maxMs: 10_000, ...options });
    expect(await take(T0, {})).toMatchObject({ kind: 'mine', endsAt: T0 + 1_000 });
    const others = { kind: 'taken', waitMs: 900, polledAt: null };
    expect(await take(T0 + 100, { ownEndsAt: T0 + 999, polledAt: T0 })).toEqual(others);
    const again = { ownEndsAt: T0 + 1_000, polledAt: T0 + 50 };
    expect(await take(T0 + 100, again)).toMatchObject({ kind: 'mine', endsAt: T0 + 1_100 });
    expect(await take(T0 + 200, again)).toEqual({ ...others, polledAt: T0 + 50 });
    expect(await take(T0 + 1_100, {})).toMatchObject({ kind: 'mine' });
    expect(await take(T0 + 1_200, {})).toMatchObject({ kind: 'taken', polledAt: T0 + 50 });
  });

  it('knows whether there is anything to do, and when there will be', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    const look = (now: number) => ledger.peek(FLOW, now);
    expect(await look(T0)).toEqual({ isIdle: true, dueAt: undefined });
    await ingest(['a']);
    expect(await look(T0)).toEqual({ isIdle: false, dueAt: T0 });
    expect(await ledger.peek('another-flow', T0)).toEqual({ isIdle: true, dueAt: undefined });
    const claim = await claimOne();
    expect(await look(T0 + 19_999)).toEqual({ isIdle: true, dueAt: undefined });
    expect((await look(T0 + 20_000)).isIdle).toBe(false);
    expect((await look(T0 - 86_400_000)).isIdle).toBe(false);
    for (const status of ['unknown', 'pending'] as const) {
      await ledger.commit([failed(claim, status, T0 + 500)], T0);
      expect(await look(T0 + 499)).toEqual({ isIdle: true, dueAt: T0 + 500 });
      expect((await look(T0 + 500)).isIdle).toBe(false);
      expect((await look(T0 - 86_400_000)).isIdle).toBe(false);
    }
    await ledger.commit([delivered(await claimOne(T0 + 500))], T0);
    expect(await look(T0 + 500)).toEqual({ isIdle: true, dueAt: undefined });
  });

  it('lists by status, flow, customer, keys and reason, in pages', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a', 'b', 'c', 'd']);
    await ingestList(ledger, 'another-flow', [itemOf('a')], { now: T0 });
    const death = failed(await claimOne(), 'dead', null);
    death.transition.lastError = 'dead: no luck with customer_id, 100%';
    await ledger.commit([death], T0);
    const list = async (...values: Parameters<typeof ledger.list>) =>
      (await ledger.list(...values)).map(({ flow, key }) => `${flow}/${key}`);
    expect(await list({}, 2)).toEqual(['a-flow/a', 'a-flow/b']);
    const [, b] = await ledger.list({}, 2);
    expect(await list({}, 9, { after: b?.sequence })).toEqual([
      'a-flow/c',
      'a-flow/d',
      'another-flow/a',
    ]);
    expect(await list({ status: 'dead' }, 9)).toEqual(['a-flow/a']);
    expect(await list({ flow: FLOW, status: 'pending' }, 9)).toEqual([
      'a-flow/b',
      'a-flow/c',
      'a-flow/d',
    ]);
    await ingestList(ledger, 'another-flow', [itemOf('e', 'a')], { now: T0 });
    const ofA = ['a-flow/a', 'another-flow/a', 'another-flow/e'];
    expect(await list({ lane: 'a' }, 9)).toEqual(ofA);
    expect(await list({ lane: 'e' }, 9)).toEqual([]);
    expect(await list({ keys: ['d', 'b', 'x'] }, 9)).toEqual(['a-flow/b', 'a-flow/d']);
    expect(await list({ reason: 'NO LUCK' }, 9)).toEqual(['a-flow/a']);
    expect(await list({ reason: 'customer_id' }, 9)).toEqual(['a-flow/a']);
    expect(await list({ reason: '100%' }, 9)).toEqual(['a-flow/a']);
    expect(await list({ reason: 'customerXid' }, 9)).toEqual([]);
    expect(await list({ reason: '100x' }, 9)).toEqual([]);
  });

  it('tells what became of the deliveries of a flow, page by page', async () => {
    const { ledger, ingest } = await setUp();
    await ingest(['a', 'b', 'c']);
    const claims = await ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 });
    await ledger.commit(
      claims.map((claim) => (claim.key === 'b' ? failed(claim, 'dead', null) : delivered(claim))),
      T0,
    );
    const first = await ledger.statuses(FLOW, 2, 0);
    expect(first).toMatchObject([
      { sequence: claims[0]?.sequence, key: 'a', lane: 'a', status: 'delivered' },
      { sequence: claims[1]?.sequence, key: 'b', lane: 'b', status: 'dead' },
    ]);
    const last = first.at(-1)?.sequence ?? 0;
    expect(await ledger.statuses(FLOW, 2, last)).toMatchObject([{ key: 'c' }]);
    expect(await ledger.statuses('another-flow', 2, 0)).toEqual([]);
  });

  it('releases what was never attempted to be sent, and what was, to be looked up first', async () => {
    const { ledger, ingest, claimOne, keys } = await setUp();
    await ingest(['attempted']);
    await ledger.commit([failed(await claimOne(), 'held', null)], T0);
    await ingestList(ledger, FLOW, [itemOf('new')], { now: T0, surgeLimit: 0 });
    expect(await ledger.release({}, T0 + 5)).toBe(2);
    const options = { limit: 9, now: T0 + 5 };
    expect(await keys(ledger.claim(FLOW, { order: 'lane', ...options }))).toEqual(['new']);
    const [unknown] = await ledger.claimUnknown(FLOW, options);
    expect(unknown).toMatchObject({ key: 'attempted', attempts: 1, reads: READS_OF_RELEASED });
  });

  it('keeps no more than the begin of what others have said', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a']);
    const claim = await claimOne();
    const reason = `${'x'.repeat(999)}\u{1f600}`.repeat(900);
    const { transition } = failed(claim, 'dead', null);
    const event = { what: 'permanent', reason };
    await ledger.commit([{ claim, transition: { ...transition, lastError: reason, event } }], T0);
    const kept = `${'x'.repeat(999)}\ufffd…`;
    const found = await ledger.get(FLOW, 'a');
    expect([found?.delivery.last_error, found?.history.at(-1)?.reason]).toEqual([kept, kept]);
  });

  it('counts by status, and knows since when the oldest waits', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    expect(await ledger.oldestUndelivered(FLOW)).toBeUndefined();
    await ingest(['a', 'b'], T0);
    await ingest(['c'], T0 + 50);
    await ledger.commit([delivered(await claimOne(T0 + 99))], T0);
    await ledger.commit([failed(await claimOne(T0 + 99), 'dead', null)], T0);
    expect(await ledger.countByStatus(FLOW)).toEqual({
      superseded: 0,
      pending: 1,
      sending: 0,
      unknown: 0,
      delivered: 1,
      dead: 1,
      held: 0,
    });
    expect(await ledger.oldestUndelivered(FLOW)).toBe(T0 + 50);
  });

  it('replays the dead alone, with all their attempts before them', async () => {
    const { ledger, ingest, claimOne } = await setUp();
    await ingest(['a', 'b', 'c']);
    await ledger.commit([failed(await claimOne(), 'dead', null)], T0);
    await ledger.commit([failed(await claimOne(), 'dead', null)], T0);
    const [a, b] = await ledger.list({ status: 'dead' }, 9);
    expect([a?.key, b?.key]).toEqual(['a', 'b']);
    expect(await ledger.list({ status: 'dead', keys: ['c'] }, 9)).toEqual([]);
    const all = (await ledger.list({}, 9)).map(({ sequence }) => sequence);
    const { sequence } = b as { sequence: number };
    const found = new Map([[sequence, 'request-of-b']]);
    expect(await ledger.markFound(found, T0 + 5)).toEqual([sequence]);
    expect(await ledger.replay(all, T0 + 5)).toEqual([a?.sequence]);
    expect((await ledger.get(FLOW, 'a'))?.delivery).toMatchObject({
      status: 'pending',
      attempts: 0,
      next_attempt_at: T0 + 5,
      last_error: null,
    });
    expect((await ledger.get(FLOW, 'b'))?.delivery.status).toBe('delivered');
    expect((await ledger.get(FLOW, 'b'))?.history.at(-1)).toMatchObject({
      what: 'found',
      reason: 'request-of-b',
    });
  });

  it('repairs what was delivered, and nothing else', async () => {
    const { ledger, ingest, claimOne, keys } = await setUp();
    await ingest(['a', 'b', 'c']);
    await ledger.commit([delivered(await claimOne())], T0);
    await ledger.commit([failed(await claimOne(), 'dead', null)], T0);
    await claimOne();
    const repaired = [];
    for (const key of ['a', 'b', 'c', 'd'])
      repaired.push(await ledger.sendAgain(FLOW, new Map([[key, 'lost']]), { now: T0 + 5 }));
    expect(repaired).toEqual([1, 0, 0, 0]);
    expect(await keys(ledger.claim(FLOW, { order: 'lane', limit: 9, now: T0 + 5 }))).toEqual(['a']);
  });

  it('keeps the last audit', async () => {
    const { ledger } = await setUp();
    expect(await ledger.lastAudit(FLOW)).toBeUndefined();
    await ledger.saveAudit(FLOW, { missing: 1 }, T0);
    await ledger.saveAudit(FLOW, { missing: 2 }, T0 - 1);
    expect(await ledger.lastAudit(FLOW)).toEqual({ missing: 2 });
  });

  it('is the same after it was closed and opened again', async () => {
    const location = await newLocation(kind);
    const first = await open(location);
    await ingestList(first, FLOW, [itemOf('a')], { now: T0 });
    await first.close();
    const second = await open(location);
    expect((await second.list({}, 9)).map(({ key }) => key)).toEqual(['a']);
  });
});
