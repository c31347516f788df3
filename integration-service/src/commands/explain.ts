/** `npm run explain -- <customer id>`: prints what happened to a customer, in all flows, in order of time. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { countAttempts, numberAttempts } from '../delivery/attempts.ts';
import { allOf } from '../delivery/audit/pages.ts';
import { systemOf } from '../delivery/dispatch/pauses.ts';
import type { Flow } from '../delivery/flow.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import type { DeliveryRow, HistoryEvent } from '../delivery/ledger/tables.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { runCommand, UsageError } from './command.ts';

const USAGE = `Usage: npm run explain -- <customer id>
       npm run explain -- --last

Prints everything that happened to a customer, from the time it was first seen, in all flows.

  --last   the customer of the newest delivery
  --help   this text

Exit code: 0, or 1 when the ledger does not know the customer, 2 when it could not be read.`;

function parse(): string | undefined {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { last: { type: 'boolean', default: false } },
  });
  const [id, ...more] = positionals;
  // Without `--` before it, npm takes the option.
  if (process.env.npm_config_last === 'true' && !values.last) {
    throw new UsageError('npm took --last for itself: npm run explain -- --last.');
  }
  if (Boolean(id) === values.last || more.length > 0) {
    throw new UsageError('One customer id is needed, or --last.');
  }
  return id;
}

await runCommand(USAGE, parse, async ({ ledger, flows }, id) => {
  const [newest] = id === undefined ? await ledger.list({}, 1, { order: 'desc' }) : [];
  const lane = id === undefined ? newest?.lane : canonicalId(id);
  const timeline = lane === undefined ? [] : await readTimeline(ledger, flows, lane);
  if (lane === undefined || timeline.length === 0) {
    const nobody = 'The ledger does not know any customer yet.';
    print(id === undefined ? nobody : `The ledger does not know the customer ${id}.`);
    return 1;
  }
  const label = timeline.findLast(({ delivery }) => delivery.label)?.delivery.label;
  print(label ? `${lane}  ${label}` : lane);
  printEvents(timeline);
  const open = timeline.filter(
    ({ delivery: { status } }) => status !== 'delivered' && status !== 'superseded',
  );
  for (const each of open) print(await summarize(each, flows, ledger));
  return 0;
});

/** A delivery, what people call it among those of its flow, and what happened to it. */
interface Told {
  delivery: DeliveryRow;
  name: string;
  history: HistoryEvent[];
}

/** The deliveries of a lane in all flows, in the order in which they were ingested. */
async function readTimeline(ledger: Ledger, flows: Flow[], lane: string): Promise<Told[]> {
  const told: Told[] = [];
  const rows = allOf<DeliveryRow>((limit, last) =>
    ledger.list({ lane }, limit, { after: last?.sequence }),
  );
  for await (const { flow, key } of rows) {
    const found = await ledger.get(flow, key);
    if (!found) continue;
    const describe = flows.find(({ name }) => name === flow)?.describe;
    // Nobody can ask a flow that is off.
    const name = describe?.(found.delivery) ?? (key === lane ? '' : key);
    told.push({ delivery: found.delivery, name, history: numberAttempts(found.history) });
  }
  return told;
}

/** Prints what happened in order of time. At the same time, what was ingested comes first. */
function printEvents(timeline: Told[]): void {
  const widthOf = (texts: string[]) => Math.max(...texts.map(({ length }) => length));
  const flowWidth = widthOf(timeline.map(({ delivery }) => delivery.flow));
  const nameWidth = widthOf(timeline.map(({ name }) => name));
  const isLater = ({ what }: HistoryEvent) => Number(what !== 'ingested');
  const events = timeline
    .flatMap((told) => told.history.map((event) => ({ told, event })))
    .sort((a, b) => a.event.at - b.event.at || isLater(a.event) - isLater(b.event));
  for (const { told, event } of events) {
    const parts = [
      new Date(event.at).toISOString(),
      told.delivery.flow.padEnd(flowWidth),
      ...(nameWidth > 0 ? [told.name.padEnd(nameWidth)] : []),
      event.what,
      event.what === 'superseded' && successorOf(told, timeline),
      event.attempt !== null && `attempt ${event.attempt}`,
      event.status_code,
      event.reason,
      event.next_attempt_at !== null && `next ${new Date(event.next_attempt_at).toISOString()}`,
    ];
    print(parts.filter((part) => part !== null && part !== false).join('  '));
  }
}

/** What replaced a delivery: `by update, version 3`, with the flow if it is another one. */
function successorOf({ delivery }: Told, timeline: Told[]): string | false {
  const successor = timeline.find((each) => each.delivery.sequence === delivery.superseded_by);
  if (!successor) return false;
  const { flow, key } = successor.delivery;
  return `by ${flow === delivery.flow ? '' : `${flow} `}${successor.name || key}`;
}

/** How far an open delivery has come, when it goes on, and why it is not delivered. */
async function summarize(
  { delivery, name, history }: Told,
  flows: Flow[],
  ledger: Ledger,
): Promise<string> {
  const { flow, key, status, last_error, next_attempt_at: dueAt } = delivery;
  const target = flows.find((each) => each.name === flow)?.target;
  const pause = target && (await ledger.readPause(systemOf(target.name)));
  const summary = [
    ...(name === '' || name === key ? [] : [name]),
    `${status}, ${countAttempts(history)} attempt(s)`,
    ...(dueAt === null ? [] : [whenDue(Math.max(dueAt, pause?.pausedUntil ?? 0), Date.now())]),
    ...(last_error ? [last_error] : []),
  ];
  return `${flow}/${key}: ${summary.join(', ')}`;
}

/** Only the running service knows the state of its circuit breaker. */
function whenDue(dueAt: number, now: number): string {
  const at = new Date(dueAt).toISOString();
  return dueAt > now ? `next ${at}` : `due since ${at}, as soon as the target can be called`;
}
