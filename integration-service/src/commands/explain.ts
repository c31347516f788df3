/** `npm run explain -- <customer id>`: prints what happened to a customer, in readable form. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { countAttempts, numberAttempts } from '../delivery/attempts.ts';
import { systemOf } from '../delivery/dispatch/pauses.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { runCommand, UsageError } from './command.ts';

const USAGE = `Usage: npm run explain -- <customer id>

Prints everything that happened to a customer, from the time it was first seen.
Exit code: 0, or 1 when the ledger does not know the customer, 2 when it could not be read.`;

function parse(): string {
  const [id, ...more] = parseArgs({ allowPositionals: true }).positionals;
  if (!id || more.length > 0) throw new UsageError('One customer id is needed.');
  return id;
}

await runCommand(USAGE, parse, async ({ ledger, flows }, id) => {
  const deliveries = await ledger.list({ lane: canonicalId(id) }, 1_000);
  if (deliveries.length === 0) print(`The ledger does not know the customer ${id}.`);
  for (const { flow, key } of deliveries) {
    const target = flows.find(({ name }) => name === flow)?.target;
    const pause = target && (await ledger.readPause(systemOf(target.name)));
    const pausedUntil = pause?.pausedUntil ?? 0;
    const found = await ledger.get(flow, key);
    if (!found) continue;
    const { status, last_error, next_attempt_at: dueAt } = found.delivery;
    const history = numberAttempts(found.history);
    const summary = [
      `${status}, ${countAttempts(history)} attempt(s)`,
      ...(dueAt === null ? [] : [whenDue(Math.max(dueAt, pausedUntil), Date.now())]),
      ...(last_error ? [last_error] : []),
    ];
    print(`${flow}/${key}: ${summary.join(', ')}`);
    for (const event of history) {
      const parts = [
        new Date(event.at).toISOString(),
        event.what,
        event.attempt !== null && `attempt ${event.attempt}`,
        event.status_code,
        event.reason,
        event.next_attempt_at !== null && `next ${new Date(event.next_attempt_at).toISOString()}`,
      ];
      print(`  ${parts.filter((part) => part !== null && part !== false).join('  ')}`);
    }
  }
  return deliveries.length > 0 ? 0 : 1;
});

/** Only the running service knows the state of its circuit breaker. */
function whenDue(dueAt: number, now: number): string {
  const at = new Date(dueAt).toISOString();
  return dueAt > now ? `next ${at}` : `due since ${at}, as soon as the target can be called`;
}
