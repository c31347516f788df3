/** `npm run audit`: compares CRM, ledger and inventory, and names the customers in which they differ. */
import { parseArgs } from 'node:util';
import { print } from 'service-kit/terminal';
import { type AuditReport, audit } from '../delivery/audit/audit.ts';
import { AUDIT_KINDS, type AuditKind } from '../delivery/audit/audit-book.ts';
import { createRejectBook, type RejectBook } from '../delivery/audit/reject-book.ts';
import { CLOCKS } from '../delivery/clocks.ts';
import type { Flow } from '../delivery/flow.ts';
import { describeUnusable } from '../delivery/ingest/unusable-records.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { runCommand, UsageError } from './command.ts';

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
  --json         prints one JSON object for each flow, which names all of them
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

await runCommand(USAGE, parse, async ({ ledger, flows }, options) => {
  let hasDrift = false;
  for (const flow of flows) hasDrift = (await auditFlow(flow, ledger, options)) || hasDrift;
  return hasDrift ? 1 : 0;
});

/** Audits a flow and prints the report; returns whether there is drift. */
async function auditFlow(
  flow: Flow,
  ledger: Ledger,
  { accept, all, json, repair, 'trust-list': trustList }: ReturnType<typeof parse>,
): Promise<boolean> {
  const of = { flow: flow.name, source: flow.audit.source };
  const rejects = createRejectBook({ of, ledger, ...CLOCKS });
  const report = await audit({
    ...{ flow, onUnusable: rejects.enter, ledger, repair, trustList, ...CLOCKS },
  });
  await rejects.enterLedger();
  if (accept) await rejects.accept();
  const hasDrift = report.hasDrift || rejects.counts().unaccepted > 0;
  if (json) {
    const keys = AUDIT_KINDS.map((kind) => [kind, [...report.keysOf(kind)]]);
    const unusable = [...rejects.rows()].map(({ position, id, reason, isListed, isAccepted }) => {
      return { position, id, reason, listed: isListed, accepted: isAccepted };
    });
    print(JSON.stringify({ drift: hasDrift, ...Object.fromEntries(keys), unusable }));
  } else {
    const most = all ? Number.POSITIVE_INFINITY : NAMED;
    printKinds(report, most);
    printUnusable(rejects, most);
    printSuspicions(report);
    if (repair) {
      print(`Put back to pending: ${report.repaired}. A running service sends them.`);
      if (report.unrepaired > 0) print(unrepaired(report.unrepaired));
    }
  }
  report.close();
  rejects.close();
  return hasDrift;
}

function printKinds({ counts, keysOf }: AuditReport, most: number): void {
  for (const kind of AUDIT_KINDS) {
    print(`${kind.padEnd(9)} ${String(counts[kind]).padStart(8)}  ${MEANINGS[kind]}`);
    printSome(keysOf(kind), counts[kind], most);
  }
}

/** Prints the records that cannot be used, those that the CRM lists now first, and says what to do. */
function printUnusable(book: RejectBook, most: number): void {
  const { all, unaccepted } = book.counts();
  print(`unusable  ${String(all).padStart(8)}  records of the CRM that are no customers`);
  const lines = book.rows().map((reject) => {
    const notes = [!reject.isListed && 'not listed now', reject.isAccepted && 'accepted'];
    const note = notes.filter(Boolean).join(', ');
    return `${describeUnusable(reject)}${note && ` (${note})`}`;
  });
  printSome(lines, all, most);
  if (unaccepted === 0) return;
  print(`Nobody has accepted ${unaccepted} of them: correct them in the CRM, or run`);
  print('npm run audit -- --accept, which accepts all that are there now.');
}

function printSome(lines: IteratorObject<string>, count: number, most: number): void {
  for (const line of lines.take(most)) print(`  ${line}`);
  if (count > most) print(`  … and ${count - most} more; --all names them`);
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
