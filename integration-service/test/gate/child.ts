/** A process with the real engine and three flows. It changes customers, and is killed at random. */
import { sql } from 'kysely';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { Item } from '../../src/delivery/delivery.ts';
import { createDeliveryMetrics } from '../../src/delivery/dispatch/metrics.ts';
import { createPause } from '../../src/delivery/dispatch/pauses.ts';
import type { Change } from '../../src/delivery/flow.ts';
import { oneByOne } from '../../src/delivery/ingest/group-change.ts';
import { createEventMetrics, createPollMetrics } from '../../src/delivery/ingest/metrics.ts';
import type { LedgerTransaction } from '../../src/delivery/ledger/ledger.ts';
import { openLedger } from '../../src/delivery/ledger/open-ledger.ts';
import { openFlow } from '../../src/open-flow.ts';
import { createGateFlows, GATE_MIGRATIONS } from './flows.ts';
import { type Breakage, randomOf } from './systems.ts';

export interface ChildOptions {
  location: Parameters<typeof openLedger>[0];
  url: string;
  path: string;
  seed: number;
  /** How likely it dies at each step. 0: it changes nothing, and ends when all is done. */
  killRate: number;
  breakage?: Breakage;
}

/** Leases end sooner, so that what another process left is taken over soon. */
const SPEED = 5;
const CHANGES = 25;

const changeOne = oneByOne<{ id: string; isDelete: boolean }, void>(
  async (transaction, { id, isDelete }) => {
    const version = await nextVersion(transaction, id, isDelete);
    if (version === undefined) return { result: undefined, items: [] };
    const email = `${id}.${version}@example.com`;
    const item: Item = {
      key: `${id}@${version}`,
      lane: id,
      payload: JSON.stringify(isDelete ? { version } : { version, email }),
      operation: isDelete ? 'delete' : version === 1 ? 'create' : 'update',
      label: `name of ${id}`,
      endsLane: isDelete && breakage !== 'a delete does not end its lane',
    };
    return { result: undefined, items: [item] };
  },
);

const options: ChildOptions = JSON.parse(process.argv[2] as string);
const { location, url, path, seed, killRate, breakage } = options;
const random = randomOf(seed);
const began = Date.now();
const now = () => began + (Date.now() - began) * SPEED;
const monotonicNow = () => performance.now() * SPEED;
const log = pino({ level: 'silent' });
const common = { log, now, monotonicNow, random };
const ledger = await openLedger(location, log, {
  ...{ hasThread: false, flowMigrations: GATE_MIGRATIONS },
});
const registry = new Registry();
const metrics = {
  delivery: createDeliveryMetrics(registry, { ledger, pauses: () => [], now }),
  polls: createPollMetrics(registry),
  events: createEventMetrics(registry),
};

/** On PostgreSQL, two changes of one customer would make the same version. */
const forUpdate = location.kind === 'postgres' ? sql`for update` : sql``;

/** The lanes that had ended before a claim began: nothing of them may be claimed but deletes. */
const ended = new Set(await ledger.within(readEnded));
let endedBefore = new Set<string>();

let changeShop: Change;
const onShop = (change: Change) => {
  changeShop = change;
};
const flows = createGateFlows({ url, path, ledger, breakage, mayDie, onShop, ...common }).map(
  (flow) =>
    openFlow(flow, {
      ...common,
      ...{ ledger, metrics, surgeWindowMs: 0 },
      pause: createPause({ system: flow.target.name, ledger, ...common }),
      onEvent(event) {
        mayDie();
        if (event.kind === 'claiming') endedBefore = new Set(ended);
        if (event.kind !== 'claimed') return;
        for (const { flow: name, key, lane, operation } of event.claims) {
          if (!endedBefore.has(lane) || operation === 'delete') continue;
          process.stdout.write(`${name}/${key} was claimed after its record was gone\n`);
        }
      },
    }),
);
const work = Promise.all(flows.map((flow) => flow.run()));

if (killRate > 0) {
  for (let i = 0; i < CHANGES; i++) {
    await change();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
} else {
  await untilDone();
}
await Promise.all(flows.map((flow) => flow.stop()));
await work;
await ledger.close();

function mayDie(times = 1): void {
  if (random() < killRate * times) process.kill(process.pid, 'SIGKILL');
}

/** Creates, updates or deletes a customer of the shop, together with the delivery of that. */
async function change(): Promise<void> {
  const id = `customer-${Math.floor(random() * 30)}`;
  const isDelete = random() < 0.25;
  await changeShop(changeOne, { id, isDelete });
  if (isDelete) for (const lane of await ledger.within(readEnded)) ended.add(lane);
}

/** Changes the shop; `undefined` when there is nothing to delete, or the customer was deleted before. */
async function nextVersion(
  transaction: LedgerTransaction,
  id: string,
  isDelete: boolean,
): Promise<number | undefined> {
  const { rows } = await sql<{ version: number; email: string | null }>`
    select version, email from shop where id = ${id} ${forUpdate}`.execute(transaction);
  const [known] = rows;
  if (known ? known.email === null : isDelete) return undefined;
  const version = (known?.version ?? 0) + 1;
  const email = isDelete ? null : `${id}.${version}@example.com`;
  await sql`insert into shop (id, version, email) values (${id}, ${version}, ${email})
    on conflict (id) do update set version = excluded.version, email = excluded.email`.execute(
    transaction,
  );
  return version;
}

async function readEnded(transaction: LedgerTransaction): Promise<string[]> {
  const { rows } = await sql<{ lane: string }>`select lane from ended_lanes`.execute(transaction);
  return rows.map(({ lane }) => lane);
}

/** Resolves when two polls of all sources have found nothing new and nothing is left to deliver. */
async function untilDone(): Promise<void> {
  for (let quiet = 0; quiet < 3; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const counts = await Promise.all(flows.map(({ flow }) => ledger.countByStatus(flow.name)));
    const open = counts.reduce(
      (sum, { pending, sending, unknown }) => sum + pending + sending + unknown,
      0,
    );
    quiet = open === 0 ? quiet + 1 : 0;
  }
}
