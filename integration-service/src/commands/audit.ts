/** `npm run audit`: compares CRM, ledger and inventory, and names the customers in which they differ. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { AUDIT_KINDS, type AuditKind, type AuditReport, audit } from '../delivery/audit/audit.ts';
import { createRejectBook } from '../delivery/audit/reject-book.ts';
import { WELCOME_PACKAGE, welcomePackageFor } from '../systems/inventory/client.ts';
import { runCommand, UsageError } from './command.ts';
import { printUnusable, toJson } from './unusable.ts';

const MEANINGS: Record<AuditKind, string> = {
  missing: 'in the CRM, without a package',
  doubled: 'with more than one package',
  orphaned: 'with a package, not in the CRM',
  dead: 'given up, until replayed',
  held: 'kept back, until released',
  in_flight: 'on their way',
};

/** How many customers of each kind are named without `--all`. */
const NAMED = 10;

const USAGE = `Usage: npm run audit -- [options]

Compares CRM, ledger and inventory, and names the customers on which they differ, the first ${NAMED} of each
kind. Sends nothing itself.

  --all          names all of them
  --accept       accepts the records of the CRM that cannot be used: those that are there now, and from now
                 on they are no drift
  --repair       puts what is missing back to pending, for the running service to send
  --trust-list   with --repair: also what was delivered and is not in the inventory's list any more;
                 say so when the inventory was reset or lost it, never when its list is cut off
  --json         prints one JSON object, which names all of them
  --help         this text

Exit code: 0 without drift, 1 with, also when nobody has accepted a record that cannot be used, 2 when it could not compare.`;

function parse() {
  const { values } = parseArgs({
    options: {
      accept: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      repair: { type: 'boolean', default: false },
      'trust-list': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (values['trust-list'] && !values.repair) {
    throw new UsageError('--trust-list goes with --repair.');
  }
  return values;
}

await runCommand(USAGE, parse, async ({ config, ledger, inventory, crm }, values) => {
  const rejects = createRejectBook({ leg: WELCOME_PACKAGE, ledger, now: Date.now });
  const report = await audit({
    leg: WELCOME_PACKAGE,
    async *readSource() {
      for await (const { id } of crm.readCustomers(rejects.enter)) yield welcomePackageFor(id);
    },
    target: inventory,
    ledger,
    pollingIntervalMs: config.pollingIntervalMs,
    repair: values.repair,
    trustList: values['trust-list'],
    now: Date.now,
  });
  await rejects.enterLedger();
  if (values.accept) await rejects.accept();
  const hasDrift = report.hasDrift || rejects.counts().unaccepted > 0;
  if (values.json) {
    const keys = AUDIT_KINDS.map((kind) => [kind, [...report.keysOf(kind)]]);
    const unusable = toJson(rejects);
    print(JSON.stringify({ drift: hasDrift, ...Object.fromEntries(keys), unusable }));
  } else {
    const most = values.all ? Number.POSITIVE_INFINITY : NAMED;
    printKinds(report, most);
    printUnusable(rejects, most);
    printSuspicions(report);
    if (values.repair) {
      print(`Put back to pending: ${report.repaired}. A running service sends them.`);
      if (report.unrepaired > 0) print(unrepaired(report.unrepaired));
    }
  }
  report.close();
  rejects.close();
  return hasDrift ? 1 : 0;
});

function printKinds({ counts, keysOf }: AuditReport, most: number): void {
  for (const kind of AUDIT_KINDS) {
    print(`${kind.padEnd(9)} ${String(counts[kind]).padStart(8)}  ${MEANINGS[kind]}`);
    let named = 0;
    for (const key of keysOf(kind)) {
      if (named === most) break;
      print(`  ${key}`);
      named += 1;
    }
    const more = counts[kind] - named;
    if (more > 0) print(`  … and ${more} more; --all names them`);
  }
}

/** Prints signs that a system was reset, or does not list everything. */
function printSuspicions({ counts, lostBySource, shortfall }: AuditReport): void {
  if (lostBySource !== undefined) {
    print(`None of the ${lostBySource} known customers is in the CRM's list: was it reset?`);
  }
  if (shortfall !== undefined && counts.missing > 0) print(`The inventory ${shortfall}`);
}

function unrepaired(count: number): string {
  return `Not put back: ${count} that were delivered before. If the inventory has lost them, and its list is not cut off: npm run audit -- --repair --trust-list`;
}
