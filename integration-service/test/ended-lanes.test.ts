import { existsSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Claim, Item, Transition } from '../src/delivery/delivery.ts';
import type { Ledger, LedgerTransaction } from '../src/delivery/ledger/ledger.ts';
import { LEDGER_KINDS, newLocation, open } from './ledgers.ts';

const T0 = 1_700_000_000_000;
/** A flow in which only the latest state matters, and one that sends once. */
const LATEST = { name: 'latest', supersedes: true, hasOwnKeys: true, keepsLabels: true };
const ONCE = { name: 'once', supersedes: false, hasOwnKeys: false, keepsLabels: true };

const version = (lane: string, number: number, more: Partial<Item> = {}): Item => ({
  key: `${lane}@${number}`,
  lane,
  payload: JSON.stringify({ email: `${lane}.${number}@example.com` }),
  operation: number === 1 ? 'create' : 'update',
  label: `name of ${lane}`,
  ...more,
});
const removal = (lane: string, number: number) =>
  version(lane, number, { operation: 'delete', endsLane: true, payload: '{}' });
const single = (lane: string): Item => ({ ...version(lane, 1), key: lane, operation: undefined });

const to = (status: Transition['status'], claim: Claim) => ({
  claim,
  transition: {
    ...{ status, attempts: claim.attempts, reads: 0, lastError: 'said of Jane' },
    nextAttemptAt: status === 'pending' || status === 'unknown' ? T0 : null,
    event: { what: status, attempt: claim.attempts, reason: 'said of Jane' },
  },
});

describe.each(LEDGER_KINDS)('a ledger in %s', (kind) => {
  async function setUp() {
    const location = await newLocation(kind);
    const ledger = await open(location);
    const ingest = (flow: typeof LATEST, ...items: Item[]) =>
      ledger.ingest(flow, async () => items, { now: T0 });
    const claim = (flow: typeof LATEST) =>
      ledger.claim(flow.name, { limit: 9, now: T0, order: 'lane' });
    const statuses = async () =>
      Object.fromEntries(
        (await ledger.list({}, 99)).map(({ flow, key, status }) => [`${flow}/${key}`, status]),
      );
    return { ledger, location, ingest, claim, statuses };
  }

  /** Claims what is due in a flow, and ends it. */
  async function end(ledger: Ledger, flow: typeof LATEST, status: Transition['status']) {
    const claims = await ledger.claim(flow.name, { limit: 9, now: T0, order: 'lane' });
    return ledger.commit(
      claims.map((claim) => to(status, claim)),
      T0,
    );
  }

  it.each(['pending', 'held', 'dead'] as const)('supersedes what is %s at once', async (status) => {
    const { ledger, ingest, statuses } = await setUp();
    await ingest(LATEST, version('a', 1), version('b', 1));
    if (status !== 'pending') await end(ledger, LATEST, status);
    await ingest(LATEST, version('a', 2));
    expect(await statuses()).toEqual({
      ...{ 'latest/a@1': 'superseded', 'latest/a@2': 'pending', 'latest/b@1': status },
    });
    const { delivery, history } = (await ledger.get('latest', 'a@1')) ?? {};
    expect(delivery?.superseded_by).toBe((await ledger.get('latest', 'a@2'))?.delivery.sequence);
    expect(history?.at(-1)?.what).toBe('superseded');
    // Nobody can bring it back.
    const sequence = delivery?.sequence as number;
    expect(await ledger.replay([sequence], T0)).toEqual([]);
    expect(await ledger.release({ keys: ['a@1'] }, T0)).toBe(0);
  });

  it.each(['pending', 'held', 'dead'] as const)(
    'supersedes what is under way when it ends as %s',
    async (status) => {
      const { ledger, ingest, claim, statuses } = await setUp();
      await ingest(LATEST, version('a', 1));
      const [first] = await claim(LATEST);
      await ingest(LATEST, version('a', 2), version('a', 3));
      expect(await statuses()).toMatchObject({
        ...{ 'latest/a@1': 'sending', 'latest/a@2': 'superseded', 'latest/a@3': 'pending' },
      });
      expect(await claim(LATEST)).toEqual([]);
      const { lost, superseded } = await ledger.commit([to(status, first as Claim)], T0);
      expect([lost, superseded]).toEqual([[], [first]]);
      expect(await statuses()).toMatchObject({ 'latest/a@1': 'superseded' });
      expect((await claim(LATEST)).map(({ key }) => key)).toEqual(['a@3']);
    },
  );

  it('keeps what is delivered, and what may be, of a version that has a successor', async () => {
    const { ledger, ingest, claim, statuses } = await setUp();
    await ingest(LATEST, version('a', 1), version('b', 1));
    const claims = await claim(LATEST);
    await ingest(LATEST, version('a', 2), version('b', 2));
    await ledger.commit(
      [to('delivered', claims[0] as Claim), to('unknown', claims[1] as Claim)],
      T0,
    );
    expect(await statuses()).toMatchObject({ 'latest/a@1': 'delivered', 'latest/b@1': 'unknown' });
  });

  it('ends the lane of a record that is gone in every flow, for ever', async () => {
    const { ledger, ingest, statuses, claim } = await setUp();
    await ingest(LATEST, version('a', 1));
    await ingest(ONCE, single('a'), single('b'));
    await ingest(LATEST, removal('a', 2));
    expect(await statuses()).toEqual({
      ...{ 'latest/a@1': 'superseded', 'latest/a@2': 'pending' },
      ...{ 'once/a': 'superseded', 'once/b': 'pending' },
    });
    const late = await ingest(ONCE, { ...single('a'), key: 'a, late' }, single('c'));
    expect(late).toMatchObject({ new: 1, superseded: 1, known: 0, held: 0 });
    const { delivery, history } = (await ledger.get('once', 'a, late')) ?? {};
    expect(delivery).toMatchObject({ status: 'superseded', payload: null, label: null });
    expect(history?.at(-1)).toMatchObject({ what: 'superseded', reason: 'its record is gone' });
    expect((await claim(ONCE)).map(({ key }) => key)).toEqual(['b', 'c']);
    // Another flow may still have to delete it.
    await ingest({ ...ONCE, name: 'other' }, removal('a', 1));
    expect(await statuses()).toMatchObject({ 'latest/a@2': 'pending', 'other/a@1': 'pending' });
  });

  it('scrubs the lane with the commit that delivers its end, and later what was under way', async () => {
    const { ledger, location, ingest, claim } = await setUp();
    await ingest(LATEST, version('a', 1), version('b', 1));
    await end(ledger, LATEST, 'delivered');
    await ingest(ONCE, single('a'));
    const [underWay] = await claim(ONCE);
    await ingest(LATEST, removal('a', 2));
    await end(ledger, LATEST, 'delivered');
    const said = async () =>
      (await ledger.list({ lane: 'a' }, 9)).map(({ flow, payload, label, last_error }) => {
        return [flow, payload, label, last_error].filter((text) => text !== null);
      });
    expect(await said()).toEqual([
      ['latest'],
      ['once', expect.anything(), 'name of a'],
      ['latest'],
    ]);
    await ledger.commit([to('delivered', underWay as Claim)], T0);
    expect(await said()).toEqual([['latest'], ['once'], ['latest']]);
    for (const { flow, key } of await ledger.list({ lane: 'a' }, 9)) {
      const reasons = (await ledger.get(flow, key))?.history.map(({ reason }) => reason);
      expect(reasons?.every((reason) => reason === null)).toBe(true);
    }
    const [other] = await ledger.list({ lane: 'b' }, 9);
    expect(other).toMatchObject({ label: 'name of b', last_error: 'said of Jane' });
    await ledger.close();
    if (location.kind === 'postgres') return;
    const files = [location.path, `${location.path}-wal`].filter((file) => existsSync(file));
    const text = files.map((file) => readFileSync(file, 'latin1')).join();
    expect(text).toContain('b.1@example.com');
    expect(text).not.toMatch(/a\.\d@example\.com/);
  });

  it.skipIf(kind === 'postgres')('scrubs its log, at the latest when nobody reads it', async () => {
    const { ledger, location, ingest } = await setUp();
    const { path } = location as { path: string };
    const log = () => readFileSync(`${path}-wal`, 'latin1');
    const reader = new DatabaseSync(path, { readOnly: true });
    onTestFinished(() => reader.close());
    await ingest(LATEST, version('a', 1));
    await end(ledger, LATEST, 'dead');
    reader.exec('begin; select count(*) from deliveries');
    await ingest(LATEST, removal('a', 2));
    await end(ledger, LATEST, 'delivered');
    expect(log()).toContain('a.1@example.com');
    reader.exec('commit');
    await ledger.recount('latest', T0);
    expect(log()).not.toContain('a.1@example.com');

    await ingest(LATEST, version('b', 1), removal('b', 2));
    await end(ledger, LATEST, 'dead');
    const [removed] = await ledger.list({ keys: ['b@2'] }, 1);
    await ledger.markFound(new Map([[removed?.sequence as number, 'b']]), T0);
    expect(log()).not.toContain('b.1@example.com');
  });

  it('commits a batch with what must be true together, or nothing of it', async () => {
    const { ledger, ingest, claim, statuses } = await setUp();
    await ingest(ONCE, single('a'), single('b'));
    const claims = await claim(ONCE);
    const entries = claims.map((each) => to('delivered', each));
    const other = { flow: 'once', source: 'a-source' };
    const together = (position: string) => (transaction: Parameters<Ledger['writeProgress']>[0]) =>
      ledger.writeProgress(transaction, other, { position, isWhole: false }, T0);
    const fail = async () => {
      throw new Error('another writer');
    };
    await expect(ledger.commit(entries, T0, fail)).rejects.toThrow('another writer');
    expect(await statuses()).toEqual({ 'once/a': 'sending', 'once/b': 'sending' });
    const stale = [entries[0], to('delivered', { ...(claims[1] as Claim), fencingToken: 99 })];
    await expect(ledger.commit(stale as typeof entries, T0, together('lost'))).rejects.toThrow(
      'a lease of its batch ran out',
    );
    expect((await ledger.readProgress(other)).position).toBeUndefined();
    expect(await statuses()).toEqual({ 'once/a': 'sending', 'once/b': 'sending' });
    await ledger.commit(entries, T0, together('kept'));
    expect((await ledger.readProgress(other)).position).toBe('kept');
    expect(await statuses()).toEqual({ 'once/a': 'delivered', 'once/b': 'delivered' });
  });

  it('does not commit a batch twice, however often it is asked to', async () => {
    const { ledger, ingest, claim, statuses } = await setUp();
    await ingest(ONCE, single('a'));
    const claims = await claim(ONCE);
    const entries = claims.map((each) => to('delivered', each));
    const again = () => ledger.commit(entries, T0, async () => {});
    await again();
    await expect(again()).rejects.toThrow('a lease of its batch ran out');
    const unknown = claims.map((each) => to('unknown', each));
    expect((await ledger.commit(unknown, T0)).lost).toEqual(claims);
    expect(await statuses()).toEqual({ 'once/a': 'delivered' });
  });

  it('passes on what a callback throws as it is, and is not broken by it', async () => {
    const { ledger, ingest } = await setUp();
    await ingest(ONCE, single('a'));
    const error = Object.assign(new Error('this account is closed'), { code: 'EMAIL_TAKEN' });
    const fail = () => Promise.reject(error);
    await expect(ledger.ingest(ONCE, fail, { now: T0 })).rejects.toBe(error);
    await expect(ledger.within(fail)).rejects.toBe(error);
    expect(ledger.problem()).toBeUndefined();
  });

  it('takes a delete and what comes after it in one list as what they are', async () => {
    const { ingest, claim, statuses } = await setUp();
    await ingest(LATEST, version('a', 1), removal('a', 2), version('a', 3));
    expect(await statuses()).toEqual({
      ...{ 'latest/a@1': 'superseded', 'latest/a@2': 'pending', 'latest/a@3': 'superseded' },
    });
    expect((await claim(LATEST)).map(({ key }) => key)).toEqual(['a@2']);
  });

  it('holds back what is new, but not the end of a record', async () => {
    const { ledger, ingest, statuses } = await setUp();
    await ingest(LATEST, version('a', 1), version('b', 1));
    await ingest(ONCE, single('a'));
    const surge = async () => [version('b', 2), removal('a', 2)];
    const counts = await ledger.ingest(LATEST, surge, { now: T0, isHeld: true });
    expect(counts).toMatchObject({ new: 1, held: 1, items: [{ key: 'a@2' }] });
    expect(await statuses()).toEqual({
      ...{ 'latest/a@1': 'superseded', 'latest/a@2': 'pending', 'once/a': 'superseded' },
      ...{ 'latest/b@1': 'superseded', 'latest/b@2': 'held' },
    });
  });

  it('sends no older state after one that was held and released', async () => {
    const { ledger, ingest, statuses } = await setUp();
    await ingest(LATEST, version('a', 1));
    await end(ledger, LATEST, 'dead');
    await ledger.ingest(LATEST, async () => [version('a', 2)], { now: T0, isHeld: true });
    expect(await ledger.release({}, T0)).toBe(1);
    await end(ledger, LATEST, 'delivered');
    const [first] = await ledger.list({ keys: ['a@1'] }, 1);
    expect(await ledger.replay([first?.sequence as number], T0)).toEqual([]);
    expect(await statuses()).toEqual({ 'latest/a@1': 'superseded', 'latest/a@2': 'delivered' });
  });

  it('sends no delete again after its record is there anew', async () => {
    const { ledger, ingest, statuses } = await setUp();
    await ingest(LATEST, version('a', 1, { operation: 'delete' }));
    await end(ledger, LATEST, 'dead');
    await ingest(LATEST, version('a', 2));
    expect(await statuses()).toEqual({ 'latest/a@1': 'superseded', 'latest/a@2': 'pending' });
  });

  it('holds a surge with the end of a record in it, of a flow that replaces nothing', async () => {
    const { ledger, statuses } = await setUp();
    function* surge() {
      yield version('a', 1);
      yield removal('a', 2);
    }
    await ledger.ingest(ONCE, async () => surge(), { now: T0, isHeld: true });
    expect(await statuses()).toEqual({ 'once/a@1': 'superseded', 'once/a@2': 'pending' });
  });

  it('ends a release although some of what is held can never be sent', async () => {
    const { ledger, ingest, statuses } = await setUp();
    await ledger.ingest(ONCE, async () => [single('a'), single('b')], { now: T0, isHeld: true });
    const gone = sql`insert into ended_lanes (lane, ended_at) values ('a', ${T0})`;
    await ledger.within(async (transaction) => void (await gone.execute(transaction)));
    expect(await ledger.release({}, T0)).toBe(1);
    expect(await statuses()).toEqual({ 'once/a': 'held', 'once/b': 'pending' });
    await ingest(LATEST, removal('a', 2));
    expect((await statuses())['once/a']).toBe('superseded');
  });

  it("writes nothing when a key that is a flow's own comes a second time", async () => {
    const { ledger, ingest, statuses } = await setUp();
    await ingest(LATEST, version('a', 1));
    const items = async (transaction: LedgerTransaction) => {
      await sql`insert into ended_lanes (lane, ended_at) values ('b', ${T0})`.execute(transaction);
      return [version('a', 2), version('a', 1)];
    };
    await expect(ledger.ingest(LATEST, items, { now: T0 })).rejects.toThrow(
      'latest ingested a@1 a second time',
    );
    expect(await statuses()).toEqual({ 'latest/a@1': 'pending' });
    const { known } = await ledger.ingest(ONCE, async () => [single('b')], { now: T0 });
    expect(known).toBe(0);
  });

  it.each([
    ['', 'is empty'],
    ['a\0', 'cannot be stored'],
    ['\ud800', 'cannot be stored'],
    ['é'.repeat(513), 'longer'],
  ])('takes no key or lane like %j', async (name, reason) => {
    const { ingest, statuses } = await setUp();
    for (const each of [{ key: name }, { lane: name }]) {
      await expect(ingest(ONCE, single('a'), { ...single('b'), ...each })).rejects.toThrow(reason);
    }
    expect(await statuses()).toEqual({});
  });

  it('says so when it is called inside a transaction of its own', async () => {
    const { ledger, ingest } = await setUp();
    const inside = async () => {
      await ledger.findNew('once', ['a']);
      return [single('a')];
    };
    const error = 'ledger.findNew inside a transaction of the ledger would wait for its end.';
    await expect(ledger.ingest(ONCE, inside, { now: T0 })).rejects.toThrow(error);
    await expect(ledger.within(inside)).rejects.toThrow(error);
    await ingest(ONCE, single('a'));
  });

  it('lets nobody send again what is about a record that is gone, but for its delete', async () => {
    const { ledger, ingest, statuses } = await setUp();
    const other = { ...ONCE, name: 'other' };
    await ingest(ONCE, single('a'));
    await end(ledger, ONCE, 'delivered');
    await ingest(other, removal('a', 1));
    await end(ledger, other, 'dead');
    await ingest(LATEST, version('a', 1), removal('a', 2));
    await end(ledger, LATEST, 'delivered');
    expect(await ledger.sendAgain('once', new Map([['a', 'lost']]), { now: T0 })).toBe(0);
    const dead = await ledger.list({ status: 'dead' }, 9);
    expect(dead.map(({ key, payload }) => [key, payload])).toEqual([['a@1', '{}']]);
    expect(await ledger.replay([dead[0]?.sequence as number], T0)).toHaveLength(1);
    expect(await statuses()).toMatchObject({ 'once/a': 'delivered', 'other/a@1': 'pending' });
  });

  it('keeps nothing of a record that is gone when it is found at the target, or adopted', async () => {
    const { ledger, ingest } = await setUp();
    await ingest(LATEST, version('a', 1));
    await ingest(LATEST, removal('a', 2));
    await end(ledger, LATEST, 'dead');
    const [dead] = await ledger.list({ status: 'dead' }, 1);
    await ledger.markFound(new Map([[dead?.sequence as number, 'gone']]), T0);
    await ledger.adopt('other', [{ ...single('a'), targetId: 'request-1' }], T0);
    const rows = await ledger.list({ lane: 'a' }, 9);
    expect(rows.map(({ status, payload, label }) => [status, payload, label])).toEqual([
      ['superseded', null, null],
      ['delivered', null, null],
      ['delivered', null, null],
    ]);
  });

  it('keeps a label of any characters, and the id of what a replay found', async () => {
    const { ledger, ingest } = await setUp();
    await ingest(ONCE, { ...single('a'), label: 'Jane\0\ud800' });
    expect((await ledger.list({}, 1))[0]?.label).toMatch(/^Jane/);
    await end(ledger, ONCE, 'dead');
    const [dead] = await ledger.list({ status: 'dead' }, 1);
    await ledger.markFound(new Map([[dead?.sequence as number, 'request-7']]), T0);
    expect((await ledger.list({}, 1))[0]?.target_id).toBe('request-7');
  });

  it('claims a batch when it is large enough, or one has waited long enough', async () => {
    const { ledger, ingest } = await setUp();
    const claimed = async (now: number) => {
      const batch = { size: 3, waitMs: 1_000 };
      const claims = await ledger.claim('once', { limit: 9, now, order: 'none', batch });
      return claims.map(({ key }) => key);
    };
    await ingest(ONCE, single('a'), single('b'));
    expect(await claimed(T0 + 999)).toEqual([]);
    expect(await claimed(T0 + 1_000)).toEqual(['a', 'b']);
    await ingest(ONCE, single('c'), single('d'), single('e'));
    expect(await claimed(T0)).toEqual(['c', 'd', 'e']);
  });
});
