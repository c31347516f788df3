/** `npm run replay`: makes a running service send dead letters again that the inventory does not have. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { replay } from '../delivery/audit/replay.ts';
import { CLOCKS } from '../delivery/clocks.ts';
import { MAX_REASON_LENGTH } from '../delivery/routes/delivery-schemas.ts';
import { canonicalId } from '../systems/customer-id.ts';
import { flowIsOff, runCommand, UnableError, UsageError } from './command.ts';

const USAGE = `Usage: npm run replay -- [options]

Puts dead letters back to pending, for the running service to send, but for those that the inventory
turns out to have. Needs a filter or --all; a dry run takes all where nothing is said.

  --dry-run            asks the inventory and changes nothing
  --reason <text>      only those whose last error has this in it
  --lane <id>          only those of this lane: a customer's id
  --key <key>          only this one; can be given several times
  --flow <flow>        only those of this flow
  --all                all of them, without a filter
  --trust-list         sends also when the inventory lists less than was delivered: it was reset, say, and
                       its list is not cut off
  --json               prints one JSON object
  --help               this text

Exit code: 0, or 2 when nothing could be done.`;

function parse() {
  const { values } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      flow: { type: 'string', multiple: true },
      key: { type: 'string', multiple: true },
      lane: { type: 'string', multiple: true },
      reason: { type: 'string', multiple: true },
      all: { type: 'boolean', default: false },
      'trust-list': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  // Without `--` before it, npm takes the option, and a dry run would be a real one.
  if (process.env.npm_config_dry_run === 'true' && !values['dry-run']) {
    throw new UsageError('npm took --dry-run for itself: npm run replay -- --dry-run.');
  }
  const [lane] = onlyOne('lane', values.lane);
  const filter = {
    flow: onlyOne('flow', values.flow)[0],
    keys: values.key?.map(canonicalId),
    lane: lane && canonicalId(lane),
    reason: onlyOne('reason', values.reason)[0],
  };
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  if (Object.values(filter).flat().includes('')) throw new UsageError('A filter is empty.');
  if ((filter.reason?.length ?? 0) > MAX_REASON_LENGTH) {
    throw new UsageError(`A reason has at most ${MAX_REASON_LENGTH} characters.`);
  }
  if (values.all && isFiltered) throw new UsageError('Give a filter or --all, not both.');
  if (!values.all && !isFiltered && !values['dry-run']) {
    throw new UsageError('Give a filter, or --all for all dead letters.');
  }
  return { filter, dryRun: values['dry-run'], trustList: values['trust-list'], json: values.json };
}

await runCommand(USAGE, parse, async ({ ledger, flows }, { json, ...options }) => {
  const { flow } = options.filter;
  if (flow !== undefined && !flows.some(({ name }) => name === flow)) {
    throw new UnableError(flowIsOff(flow, flows));
  }
  const report = await replay({ ledger, flows, ...CLOCKS, ...options });
  if (json) {
    print(JSON.stringify(report));
    return 0;
  }
  for (const { flow, key, verdict } of report.deliveries) print(`${flow}/${key}: ${verdict}`);
  const done = options.dryRun ? 'Nothing was changed.' : 'A running service sends them.';
  const counts = [
    `${report.matched} dead`,
    `${report.already_delivered} already delivered`,
    `${report.to_send} to send`,
    ...(report.no_longer_dead > 0 ? [`${report.no_longer_dead} taken by another replay`] : []),
  ];
  print(`${counts.join(', ')}. ${done}`);
  return 0;
});

/** Refuses several values of an option: otherwise one of them would silently win. */
function onlyOne(name: string, given: string[] = []): string[] {
  if (given.length > 1) throw new UsageError(`--${name} can be given once.`);
  return given;
}
