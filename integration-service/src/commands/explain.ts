/** `npm run explain -- <customer id>`: what happened to a customer, readable. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { canonicalId } from '../welcome-package/customer-id.ts';
import { runCommand, UsageError } from './command.ts';

const USAGE = `Usage: npm run explain -- <customer id>

Prints everything that happened to a customer, from the first sighting on.
Exit code: 0, or 1 when the ledger does not know the customer, 2 when it could not be read.`;

await runCommand(USAGE, async ({ ledger }) => {
  const [id, ...more] = parseArgs({ allowPositionals: true }).positionals;
  if (id === undefined || more.length > 0) throw new UsageError('One customer id is needed.');
  const deliveries = await ledger.list({ customerId: canonicalId(id) }, 1_000);
  if (deliveries.length === 0) print(`The ledger does not know the customer ${id}.`);
  for (const { leg, key } of deliveries) {
    const found = await ledger.get(leg, key);
    if (!found) continue;
    const { status, attempts, last_error } = found.delivery;
    print(`${leg}/${key}: ${status}, ${attempts} attempt(s)${last_error ? `, ${last_error}` : ''}`);
    for (const event of found.history) {
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
