import { describe, expect, it } from 'vitest';
import { audit } from '../src/delivery/audit/audit.ts';
import { AUDIT_KINDS } from '../src/delivery/audit/kinds.ts';
import { CLOCKS } from '../src/delivery/clocks.ts';
import type { Claim, Item, Transition } from '../src/delivery/delivery.ts';
import type { LedgerLocation } from '../src/delivery/ledger/ledger.ts';
import type { Target } from '../src/delivery/target.ts';
import { ingestList, LEDGER_KINDS, newLocation, open } from './ledgers.ts';
import { POLICY } from './support.ts';

const FLOW = 'a-flow';
const KINDS = Object.fromEntries(AUDIT_KINDS.map((kind) => [kind, kind]));
const itemOf = (key: string) => ({ key, lane: key, payload: '{}' });

/** A ledger with these deliveries delivered, and an audit of it against source and target. */
async function setUp(delivered: string[], kind: LedgerLocation['kind'] = 'sqlite') {
  const ledger = await open(await newLocation(kind));
  const deliver = async (keys: string[]) => {
    await ingestList(ledger, FLOW, keys.map(itemOf), { now: Date.now() });
    const claims = await ledger.claim(FLOW, { order: 'lane', limit: 100, now: Date.now() });
    const transition: Transition = {
      status: 'delivered',
      ...{ attempts: 1, reads: 0, nextAttemptAt: null, lastError: null },
      event: { what: 'delivered' },
    };
    await ledger.commit(
      claims.map((claim: Claim) => ({ claim, transition })),
      Date.now(),
    );
  };
  await deliver(delivered);

  /** @param reads what the source shows at each read; the last one repeats for ever */
  async function run(
    reads: (() => string[] | Promise<string[]>)[],
    held: () => string[],
    repair: boolean | 'trusting the list' = false,
  ) {
    const target: Target = {
      name: 'target',
      isRepeatable: false,
      lookUpAfterMs: [],
      send: () => Promise.reject(new Error('an audit sends nothing')),
      async *list() {
        for (const key of held()) yield { identity: key, targetId: key, content: undefined };
      },
    };
    let count = 0;
    const report = await audit({
      flow: {
        ...{ name: FLOW, target, policy: POLICY },
        audit: {
          kinds: KINDS,
          ...{ source: 'a-source', intervalMs: 1 },
          async *expected() {
            const read = reads[Math.min(count++, reads.length - 1)];
            for (const key of (await read?.()) ?? []) yield itemOf(key);
          },
        },
      },
      onUnusable: () => {},
      ...{ ledger, ...CLOCKS },
      ...{ repair: repair !== false, trustList: repair === 'trusting the list' },
    });
    const found = AUDIT_KINDS.map(
      (kind) =>
        [
          kind,
          report
            .entriesOf(kind)
            .map(({ id }) => id)
            .toArray(),
        ] as const,
    );
    report.close();
    const { repaired, unrepaired, shortfall, lostBySource } = report;
    return {
      ...Object.fromEntries(found.filter(([, keys]) => keys.length > 0)),
      repaired,
      ...(unrepaired > 0 && { unrepaired }),
      ...(shortfall !== undefined && { shortfall }),
      ...(lostBySource !== undefined && { lostBySource }),
    };
  }
  return { ledger, deliver, run };
}

const lists = (listed: number, delivered: number) =>
  `lists ${listed} of the ${delivered} that were delivered: was it reset, or is its list cut off?`;

describe('an audit beside a running service', () => {
  it('does not take a customer for orphaned who came while it read', async () => {
    const { deliver, run } = await setUp(['a']);
    const held = ['a'];
    const later = async () => {
      await deliver(['b']);
      held.push('b');
      return ['a', 'b'];
    };
    // The target is read after the first read of the source and after b was delivered.
    const inTime = () => {
      if (!held.includes('b')) held.push('b');
      return held;
    };
    expect(await run([() => ['a'], later], inTime)).toEqual({ repaired: 0 });
  });

  it('does not take for missing, nor repair, who came and was delivered after it had read', async () => {
    const { ledger, deliver, run } = await setUp(['a']);
    const later = async () => {
      await deliver(['c']);
      return ['a', 'c'];
    };
    const report = await run([() => ['a'], later], () => ['a', 'stranger'], true);
    expect(report).toEqual({ orphaned: ['stranger'], repaired: 0 });
    expect((await ledger.list({ status: 'pending' }, 9)).length).toBe(0);
  });

  it('repairs what was delivered and is gone, and what was never seen', async () => {
    const { ledger, run } = await setUp(['a', 'b']);
    const report = await run([() => ['a', 'b', 'new']], () => ['b'], 'trusting the list');
    expect(report).toEqual({ missing: ['a', 'new'], repaired: 2, shortfall: lists(1, 2) });
    const pending = (await ledger.list({ status: 'pending' }, 9)).map(({ key }) => key);
    expect(pending).toEqual(['a', 'new']);
  });

  it('does not repair what was delivered on the word of a list that may be cut off', async () => {
    const { ledger, run } = await setUp(['a', 'b', 'c']);
    const report = await run([() => ['a', 'b', 'c', 'new']], () => ['b'], true);
    expect(report).toEqual({
      missing: ['a', 'c', 'new'],
      ...{ repaired: 1, unrepaired: 2, shortfall: lists(1, 3) },
    });
    const pending = (await ledger.list({ status: 'pending' }, 9)).map(({ key }) => key);
    expect(pending).toEqual(['new']);
  });

  it('says when the source shows nobody of those whom the ledger knows', async () => {
    const { run } = await setUp(['a', 'b']);
    const held = () => ['a', 'b'];
    expect(await run([() => ['new']], () => [...held(), 'new'])).toEqual({
      ...{ orphaned: ['a', 'b'], repaired: 0, lostBySource: 2 },
    });
    expect(await run([() => ['b']], held)).toEqual({ orphaned: ['a'], repaired: 0 });
  });

  it.each(LEDGER_KINDS)(
    'misses nothing of a record that is gone, and does not call it orphaned, in %s',
    async (kind) => {
      const { ledger, run } = await setUp(['a', 'b', 'c', 'd'], kind);
      const deleted = ['a', 'c', 'never delivered'].map((lane): Item => {
        return { key: `${lane}:2`, lane, payload: '{}', operation: 'delete', endsLane: true };
      });
      const rules = { name: 'another-flow', supersedes: true, hasOwnKeys: true, keepsLabels: true };
      await ledger.ingest(rules, async () => deleted, { now: Date.now() });
      const shown = ['c', 'd', 'never delivered'];
      expect(await run([() => shown], () => ['a', 'b'], 'trusting the list')).toEqual({
        ...{ missing: ['d'], orphaned: ['b'], repaired: 1, shortfall: lists(2, 4) },
      });
    },
  );
});
