/** `npm run audit`: compares CRM, ledger and inventory, and names the customers of whom they differ. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { AUDIT_KINDS, type AuditKind, audit } from '../delivery/audit.ts';
import { createRejectBook } from '../delivery/reject-book.ts';
import { WELCOME_PACKAGE, welcomePackageFor } from '../welcome-package/inventory-client.ts';
import { runCommand } from './command.ts';
import { printUnusable, toJson } from './unusable.ts';

const MEANINGS: Record<AuditKind, string> = {
  missing: 'in the CRM, without a package',
  doubled: 'with more than one package',
  orphaned: 'with a package, not in the CRM',
  dead: 'given up, until replayed',
  held: 'kept back, until released',
  in_flight: 'on their way',
};

const USAGE = `Usage: npm run audit -- [options]

Compares CRM, ledger and inventory, and names the customers of whom they differ. Sends nothing itself.

  --accept   accepts the records of the CRM that cannot be used: those that are there now, and from now on
             they are no drift
  --repair   puts what is missing back to pending, for the running service to send
  --json     prints one JSON object
  --help     this text

Exit code: 0 without drift, 1 with, also when nobody has accepted a record that cannot be used, 2 when it could not compare.`;

await runCommand(USAGE, async ({ config, ledger, inventory, crm }) => {
  const { values } = parseArgs({
    options: {
      accept: { type: 'boolean', default: false },
      repair: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
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
    for (const kind of AUDIT_KINDS) {
      print(`${kind.padEnd(9)} ${String(report.counts[kind]).padStart(8)}  ${MEANINGS[kind]}`);
      for (const key of report.keysOf(kind)) print(`  ${key}`);
    }
    printUnusable(rejects, 10);
    if (values.repair)
      print(`Put back to pending: ${report.repaired}. A running service sends them.`);
  }
  report.close();
  rejects.close();
  return hasDrift ? 1 : 0;
});
