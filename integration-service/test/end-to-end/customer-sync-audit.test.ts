import { pino } from 'pino';
import { parseEnvironment } from 'service-kit/environment';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../../../crm-api/src/app.ts';
import type { CustomerInput } from '../../src/customer-sync/customer.ts';
import { customerSyncEnvironment } from '../../src/customer-sync/environment.ts';
import { createFlow } from '../../src/customer-sync/flow.ts';
import { CUSTOMER_SYNC } from '../../src/customer-sync/item.ts';
import { createShop, type Shop } from '../../src/customer-sync/shop.ts';
import { audit } from '../../src/delivery/audit/audit.ts';
import { AUDIT_KINDS } from '../../src/delivery/audit/kinds.ts';
import { CLOCKS } from '../../src/delivery/clocks.ts';
import type { Flow } from '../../src/delivery/flow.ts';
import { createGroupChange } from '../../src/delivery/ingest/group-change.ts';
import type { Ledger, LedgerLocation } from '../../src/delivery/ledger/ledger.ts';
import { LEDGER_KINDS, newLocation } from '../ledgers.ts';
import { setUpService } from '../support.ts';

const PATH = '/api/crm/customers';
const JANE: CustomerInput = {
  ...{ name: 'Jane Doe', email: 'jane@example.com', phone: '+44 1' },
  address: {
    street: 'Baker Street',
    city: 'London',
    state: null,
    postal_code: null,
    country: null,
  },
};

/** The real CRM, a shop whose changes reach it, and audits beside them. */
async function setUp(kind: LedgerLocation['kind']) {
  const app = await buildApp({
    log: pino({ level: 'silent' }),
    serializerCompiler: strictSerializerCompiler,
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  const service = await setUpService({
    ledger: await newLocation(kind),
    createFlow: (parts) =>
      createFlow(
        parseEnvironment(customerSyncEnvironment, { CUSTOMER_SYNC_URL: `${url}${PATH}` }),
        parts,
      ),
  });
  const { flow, ledger, ingest, dispatcher, now } = service;
  const change = createGroupChange({ write: ingest.change, isGrouped: false });
  const shop = createShop({ change, ledger, now });
  /** Resolves when the CRM has been told of everything, or has refused it. */
  const untilSent = () =>
    service.until(async () => {
      const { pending, sending } = await ledger.countByStatus(CUSTOMER_SYNC);
      return pending + sending === 0;
    });

  async function run(options: { repair?: boolean; of?: Flow; on?: Ledger } = {}) {
    const { repair = false, of = flow, on = ledger } = options;
    const report = await audit({ flow: of, onUnusable() {}, ledger: on, repair, ...CLOCKS });
    const found = AUDIT_KINDS.map((each) => [each, [...report.entriesOf(each)]] as const);
    report.close();
    const { hasDrift, repaired, unrepaired } = report;
    const kinds = found
      .filter(([, entries]) => entries.length > 0)
      .map(([each, entries]) => [
        each,
        each === 'different' ? entries : entries.map(({ id }) => id),
      ]);
    return { ...Object.fromEntries(kinds), hasDrift, repaired, unrepaired };
  }

  const inCrm = async (id: string) => (await app.inject(`${PATH}/${id}`)).json();
  const put = async (id: string, body: object) => {
    const response = await app.inject({ method: 'PUT', url: `${PATH}/${id}`, payload: body });
    expect(response.statusCode).toBeLessThan(300);
  };
  const remove = async (id: string, version: number) => {
    const url = `${PATH}/${id}?version=${version}`;
    expect((await app.inject({ method: 'DELETE', url })).statusCode).toBe(204);
  };
  return { ...service, app, shop, run, untilSent, inCrm, put, remove, start: dispatcher.run };
}

const NONE = { hasDrift: false, repaired: 0, unrepaired: 0 };
const DRIFT = { ...NONE, hasDrift: true };

describe.each(LEDGER_KINDS)('an audit of customer-sync with a ledger in %s', (kind) => {
  /** The same, with one customer whom the CRM has. */
  async function setUpJane() {
    const parts = await setUp(kind);
    void parts.start();
    const { id } = await parts.shop.create(JANE);
    await parts.untilSent();
    expect(await parts.run()).toEqual(NONE);
    const repair = async () => {
      const found = await parts.run({ repair: true });
      await parts.untilSent();
      return found;
    };
    return { ...parts, id, repair };
  }

  it('names the fields of a hand edit with both values, and repairs them with a new version', async () => {
    const { id, shop, put, repair, run, inCrm } = await setUpJane();
    const { email, created_at } = await inCrm(id);
    await put(id, { name: 'Janet', email, created_at, phone: '+44 1' });
    const differences = [
      { field: 'name', expected: 'Jane Doe', found: 'Janet' },
      { field: 'address', expected: 'Baker Street, London', found: null },
    ];
    expect(await run()).toEqual({ ...DRIFT, different: [{ id, differences }] });
    expect(await repair()).toMatchObject({ repaired: 1, unrepaired: 0 });
    expect(await run()).toEqual(NONE);
    const { updated_at: _, address: __, ...customer } = await shop.get(id);
    expect(await inCrm(id)).toEqual({ ...customer, version: 2, address: 'Baker Street, London' });
  });

  it('repairs a customer of whom the CRM has a later version, known or refused', async () => {
    const { id, shop, put, repair, run, inCrm, untilSent } = await setUpJane();
    await put(id, { ...(await inCrm(id)), version: 9 });
    const differences = [{ field: 'version', expected: 1, found: 9 }];
    expect(await repair()).toMatchObject({ different: [{ id, differences }], repaired: 1 });
    expect(await run()).toEqual(NONE);
    expect(await inCrm(id)).toMatchObject({ version: 10 });

    await put(id, { ...(await inCrm(id)), version: 20 });
    await shop.replace(id, { ...JANE, name: 'Jane Roe' });
    await untilSent();
    expect(await repair()).toEqual({ ...DRIFT, dead: [id], repaired: 1 });
    expect(await run()).toEqual(NONE);
    expect(await inCrm(id)).toMatchObject({ version: 21, name: 'Jane Roe' });
  });

  it('repairs a customer whom the CRM has deleted at a later version', async () => {
    const { id, remove, repair, run, inCrm } = await setUpJane();
    await remove(id, 7);
    // The CRM tells which version it has only when it refuses one.
    expect(await repair()).toEqual({ ...DRIFT, missing: [id], repaired: 1 });
    expect(await repair()).toEqual({ ...DRIFT, dead: [id], repaired: 1 });
    expect(await run()).toEqual(NONE);
    expect(await inCrm(id)).toMatchObject({ id, version: 8, name: 'Jane Doe' });
  });

  it('repairs a delete that the CRM has refused, and one that the CRM has forgotten', async () => {
    const { id, ingest, shop, put, repair, run, inCrm, untilSent } = await setUpJane();
    const held = await inCrm(id);
    await put(id, { ...held, version: 9 });
    await shop.remove(id);
    await untilSent();
    // What comes too late is superseded at once, and is not what the CRM should have.
    const late = { key: `${id}:99`, lane: id, payload: '{}', operation: 'update' } as const;
    await ingest.change(async () => [late]);
    expect(await repair()).toEqual({ ...DRIFT, dead: [id], repaired: 1 });
    expect(await run()).toEqual(NONE);
    await put(id, { ...held, version: 30 });
    expect(await repair()).toEqual({ ...DRIFT, orphaned: [id], repaired: 1 });
    expect(await run()).toEqual(NONE);
    expect(await inCrm(id)).toHaveProperty('detail');
  });

  it('lists whom the shop never had, and leaves them alone', async () => {
    const { app, repair } = await setUpJane();
    const payload = { name: 'John', email: 'john@example.com' };
    const { id } = (await app.inject({ method: 'POST', url: '/customers', payload })).json();
    expect(await repair()).toEqual({ ...NONE, extra: [id] });
  });

  it('makes one new version, however many repair at the same time', async () => {
    const { id, stop, shop, put, run, inCrm } = await setUpJane();
    await put(id, { ...(await inCrm(id)), name: 'Janet', version: undefined });
    await stop();
    const found = await Promise.all([run({ repair: true }), run({ repair: true })]);
    expect(found.map(({ repaired }) => repaired).sort()).toEqual([0, 1]);
    expect(await run({ repair: true })).toEqual({ ...NONE, in_flight: [id] });
    expect(await shop.get(id)).toMatchObject({ version: 2 });
  });

  it('does not repair who was changed after the audit had looked', async () => {
    const { id, ledger, shop, put, run, inCrm, untilSent } = await setUpJane();
    await put(id, { ...(await inCrm(id)), name: 'Janet', version: undefined });
    // The last that an audit does before it repairs.
    const saveAudit: Ledger['saveAudit'] = async (...values) => {
      await shop.replace(id, { ...JANE, name: 'Jane Roe' });
      await ledger.saveAudit(...values);
    };
    const found = await run({ repair: true, on: { ...ledger, saveAudit } });
    expect(found).toMatchObject({ different: [{ id }], repaired: 0, unrepaired: 1 });
    await untilSent();
    expect(await inCrm(id)).toMatchObject({ version: 2, name: 'Jane Roe' });
  });

  it('takes for on its way what is sent again while it reads', async () => {
    const { id, flow, ledger, now, put, run, inCrm, untilSent } = await setUpJane();
    await put(id, { ...(await inCrm(id)), name: 'Janet', version: undefined });
    const of: Flow = {
      ...flow,
      target: {
        ...flow.target,
        async *list() {
          if (flow.target.list) yield* flow.target.list();
          await ledger.sendAgain(CUSTOMER_SYNC, new Map([[`${id}:1`, 'lost']]), { now: now() });
          await untilSent();
        },
      },
    };
    expect(await run({ of, repair: true })).toEqual({ ...NONE, in_flight: [id] });
  });

  const changes: Record<string, (shop: Shop, id: string) => Promise<unknown>> = {
    created: (shop) => shop.create({ ...JANE, email: 'john@example.com' }),
    changed: (shop, id) => shop.replace(id, { ...JANE, name: 'Jane Roe' }),
    deleted: (shop, id) => shop.remove(id),
  };
  it.each(
    Object.keys(changes).flatMap((what) => [
      { what, after: 'the shop' } as const,
      { what, after: 'the ledger' } as const,
    ]),
  )(
    'finds no drift in a customer who is $what once it has read $after',
    async ({ what, after }) => {
      const { id, flow, shop, run, untilSent } = await setUpJane();
      let isChanged = false;
      const change = async (at: typeof after) => {
        if (isChanged || at !== after) return;
        isChanged = true;
        await changes[what]?.(shop, id);
        await untilSent();
      };
      const of: Flow = {
        ...flow,
        target: {
          ...flow.target,
          async *list() {
            await change('the ledger');
            if (flow.target.list) yield* flow.target.list();
          },
        },
        audit: {
          ...flow.audit,
          async *expected() {
            yield* flow.audit.expected();
            await change('the shop');
          },
        },
      };
      const { in_flight, ...found } = await run({ of, repair: true });
      expect(isChanged).toBe(true);
      expect(found).toEqual(NONE);
      expect(in_flight).toHaveLength(1);
      expect(await run()).toEqual(NONE);
    },
  );
});
