/** `npm run replay`: has a running service send dead letters again that the inventory does not have. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { replay } from '../delivery/replay.ts';
import { canonicalId } from '../welcome-package/customer-id.ts';
import { WELCOME_PACKAGE } from '../welcome-package/inventory-client.ts';
import { runCommand } from './command.ts';

const USAGE = `Usage: npm run replay -- [options]

Puts dead letters back to pending, for the running service to send, but for those that the inventory
turns out to have. Without a filter, all of them.

  --dry-run            asks the inventory and changes nothing
  --reason <text>      only those whose last error has this in it
  --customer-id <id>   only those of this customer
  --key <key>          only this one; can be given several times
  --leg <leg>          only those of this leg
  --json               prints one JSON object
  --help               this text

Exit code: 0, or 2 when nothing could be done.`;

await runCommand(USAGE, async ({ ledger, inventory }) => {
  const { values } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      leg: { type: 'string' },
      key: { type: 'string', multiple: true },
      'customer-id': { type: 'string' },
      reason: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const customerId = values['customer-id'];
  const report = await replay({
    ledger,
    targets: { [WELCOME_PACKAGE]: inventory },
    filter: {
      leg: values.leg,
      keys: values.key?.map(canonicalId),
      customerId: customerId && canonicalId(customerId),
      reason: values.reason,
    },
    dryRun: values['dry-run'],
    now: Date.now,
  });
  if (values.json) {
    print(JSON.stringify(report));
    return 0;
  }
  for (const { leg, key, verdict } of report.deliveries) print(`${leg}/${key}: ${verdict}`);
  const done = values['dry-run'] ? 'Nothing was changed.' : 'A running service sends them.';
  print(
    `${report.matched} dead, ${report.already_delivered} already delivered, ${report.to_send} to send. ${done}`,
  );
  return 0;
});
