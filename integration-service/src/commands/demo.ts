/** `npm run demo`: shows customer-sync and welcome-package at work, with 20 customers of its own. */
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { z } from 'zod';
import type { Status } from '../delivery/delivery.ts';
import type { Flow } from '../delivery/flow.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import type { DeliveryRow } from '../delivery/ledger/tables.ts';
import type { FlowName } from '../flows.ts';
import { runCommand, UnableError, UsageError } from './command.ts';
import { createRunningService, type RunningService } from './running-service.ts';
import { printTable } from './table.ts';

const [CUSTOMERS, CHANGED, DELETED] = [20, 5, 3];
const LOOK_AGAIN_AFTER_MS = 250;
/** In seconds. */
const [GIVE_UP_AFTER, LONGEST_WAIT] = ['60', 3_600];
/** A list that takes longer is not for a demo. */
const LIST_TIMEOUT_MS = 15_000;
const DONE: readonly Status[] = ['delivered', 'superseded'];
const STUCK: readonly Status[] = ['dead', 'held'];
const CUSTOMER_SYNC: FlowName = 'customer-sync';
const WELCOME_PACKAGE: FlowName = 'welcome-package';
const FLOWS = [CUSTOMER_SYNC, WELCOME_PACKAGE];

const USAGE = `Usage: npm run demo -- [options]

Creates ${CUSTOMERS} customers in the shop of the running service, changes ${CHANGED} and deletes ${DELETED} of them, waits until all of it
has arrived, and shows what the shop, the CRM and the inventory have of each. It touches no other customers,
and leaves the other ${CUSTOMERS - DELETED} where they are. The flows ${FLOWS.join(' and ')} must be on.

  --wait <seconds>   gives up after this time. Default: ${GIVE_UP_AFTER}
  --help             this text

Exit code: 0 when the three agree, 1 when a delivery waits for a person, 2 when it could not be done.`;

const readinessSchema = z.object({
  degraded: z.array(z.object({ part: z.string(), reason: z.string() })).default([]),
});
const customerSchema = z.object({ id: z.string(), name: z.string(), version: z.int() });
type Customer = z.output<typeof customerSchema> & { isDeleted: boolean };

function parse(): number {
  const { values } = parseArgs({ options: { wait: { type: 'string', default: GIVE_UP_AFTER } } });
  const seconds = Number(values.wait);
  if (/^\d+$/.test(values.wait) && seconds > 0 && seconds <= LONGEST_WAIT) return seconds;
  throw new UsageError(`--wait is a number of seconds from 1 to ${LONGEST_WAIT}.`);
}

await runCommand(USAGE, parse, async ({ ledger, flows, config }, seconds) => {
  const service = createRunningService(config);
  const [sync, packages] = await checkAll(service, flows);
  const customers = await changeShop(service);
  const done = `Created ${CUSTOMERS} customers in the shop, changed ${CHANGED} and deleted ${DELETED}.`;
  print(`${done} Waiting …`);
  const stuck = await waitFor(customers, { service, ledger, seconds });
  await show(customers, sync, packages);
  printStuck(stuck);
  printNext(customers);
  return stuck.length > 0 ? 1 : 0;
});

/** Makes sure, before anything is created, that all three systems can be used. */
async function checkAll(service: RunningService, flows: Flow[]): Promise<[Flow, Flow]> {
  for (const name of FLOWS) await service.call('POST', `/flows/${name}/poll`);
  const [sync, packages] = FLOWS.map((name) => flows.find((flow) => flow.name === name));
  if (!sync || !packages) {
    throw new UnableError(
      `The demo needs the flows ${FLOWS.join(' and ')}, of which one is off (FLOWS).`,
    );
  }
  for (const flow of [sync, packages]) await heldBy(flow);
  return [sync, packages];
}

/** Creates, changes and deletes the customers of the demo. */
async function changeShop(service: RunningService): Promise<Customer[]> {
  // An address is taken once: each run has its own.
  const run = randomBytes(4).toString('hex');
  const customers: Customer[] = [];
  for (let i = 1; i <= CUSTOMERS; i++) {
    const number = String(i).padStart(2, '0');
    const input = { name: `Demo ${number}`, email: `demo-${run}-${number}@example.com` };
    const created = customerSchema.parse(await service.call('POST', '/api/customers', input));
    const path = `/api/customers/${created.id}`;
    const customer = { ...created, isDeleted: i > CUSTOMERS - DELETED };
    if (i <= CHANGED) {
      const changed = { ...input, phone: '+44 20 7946 0000' };
      Object.assign(customer, customerSchema.parse(await service.call('PUT', path, changed)));
    }
    if (customer.isDeleted) await service.call('DELETE', path);
    customers.push(customer);
  }
  return customers;
}

/** Waits until nothing about these customers is on its way; returns what is up to a person. */
async function waitFor(
  customers: Customer[],
  options: { service: RunningService; ledger: Pick<Ledger, 'list'>; seconds: number },
): Promise<DeliveryRow[]> {
  const { service, ledger, seconds } = options;
  const deadline = performance.now() + seconds * 1_000;
  for (;;) {
    const progress = await Promise.all(
      customers.map(async ({ id, isDeleted }) => {
        const rows = await ledger.list({ lane: id }, 100);
        const open = rows.filter(({ status }) => !DONE.includes(status));
        const isKnown = FLOWS.every((name) => rows.some(({ flow }) => flow === name));
        const isOver = open.every(({ status }) => STUCK.includes(status));
        return { open, isOver: isOver && (isKnown || isDeleted || open.length > 0) };
      }),
    );
    const waiting = progress.filter(({ isOver }) => !isOver).length;
    if (waiting === 0) return progress.flatMap(({ open }) => open);
    if (performance.now() > deadline) throw await tooLate(service, waiting, seconds);
    await setTimeout(LOOK_AGAIN_AFTER_MS);
    // A package is requested when a poll finds its customer in the CRM, which else is up to an interval later.
    await service.call('POST', `/flows/${WELCOME_PACKAGE}/poll`).catch(() => {});
  }
}

async function tooLate(
  service: RunningService,
  waiting: number,
  seconds: number,
): Promise<UnableError> {
  const ready = await service.call('GET', '/readyz').catch(() => undefined);
  const { degraded } = readinessSchema.safeParse(ready).data ?? { degraded: [] };
  const lines = [
    `After ${seconds} s, something is still on its way for ${waiting} of the ${CUSTOMERS} customers. Nothing is lost: it arrives when it can.`,
    ...degraded.map(({ part, reason }) => `${part}: ${reason}`),
    `What waits: npm run --silent sql -- "select flow, lane, status, last_error from deliveries where status not in ('delivered', 'superseded')"`,
  ];
  return new UnableError(lines.join('\n'));
}

/** How often the target of a flow has each record, and at which version. */
async function heldBy({ target }: Flow): Promise<Map<string, { count: number; version: unknown }>> {
  const held = new Map<string, { count: number; version: unknown }>();
  const signal = AbortSignal.timeout(LIST_TIMEOUT_MS);
  try {
    for await (const { identity, content } of target.list?.(signal) ?? []) {
      const version = z.object({ version: z.int() }).safeParse(content).data?.version;
      held.set(identity, { count: (held.get(identity)?.count ?? 0) + 1, version });
    }
    return held;
  } catch (cause) {
    if (!signal.aborted) throw cause;
    const reason = `has not answered with its whole list within ${LIST_TIMEOUT_MS / 1000} s`;
    throw new UnableError(`The ${target.name} ${reason}.`, { cause });
  }
}

async function show(customers: Customer[], sync: Flow, packages: Flow): Promise<void> {
  const crm = await heldBy(sync);
  const inventory = await heldBy(packages);
  const rows = customers.map(({ id, name, version, isDeleted }) => {
    const inCrm = crm.get(id);
    const count = inventory.get(id)?.count ?? 0;
    return [
      ...[id, name, isDeleted ? 'deleted' : `version ${version}`],
      inCrm ? `version ${inCrm.version ?? 'unknown'}` : isDeleted ? 'deleted' : 'missing',
      count === 1 ? '1 package' : `${count || 'no'} packages`,
    ];
  });
  printTable(['customer', 'name', 'shop', 'CRM', 'inventory'], rows);
}

function printStuck(stuck: DeliveryRow[]): void {
  for (const { flow, key, status, last_error } of stuck) {
    print(
      `${flow}/${key} is ${status}${last_error ? `: ${last_error}` : ', until somebody releases it'}`,
    );
  }
}

function printNext(customers: Customer[]): void {
  print('Try next, under Docker with docker compose exec integration-service before it:');
  print(`  npm run --silent explain -- ${customers[0]?.id}`);
  print('  npm run --silent sql -- "select * from customers"');
  print(`  npm run --silent audit -- --flow ${CUSTOMER_SYNC}`);
}
