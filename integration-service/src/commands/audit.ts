/** `npm run audit`: compares both ends of each flow with the ledger, and names the records that differ. */
import { parseArgs } from 'node:util';
import { print, printError } from 'service-kit/terminal';
import { type AuditReport, audit, heldIn } from '../delivery/audit/audit.ts';
import type { AuditEntry } from '../delivery/audit/audit-book.ts';
import { AUDIT_KINDS } from '../delivery/audit/kinds.ts';
import { createRejectBook, type RejectBook } from '../delivery/audit/reject-book.ts';
import { CLOCKS } from '../delivery/clocks.ts';
import type { Flow } from '../delivery/flow.ts';
import { describeUnusable } from '../delivery/ingest/unusable-records.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { shorten } from '../shorten.ts';
import { flowIsOff, runCommand, UsageError } from './command.ts';

/** How many records of each kind are named without `--all`. */
const NAMED = 10;
/** The most characters printed of a value. */
const MOST_OF_VALUE = 60;

const USAGE = `Usage: npm run audit -- [options]

Compares source, ledger and target of each flow that is on, and names what differs, the first ${NAMED} of each
kind. Sends nothing itself.

  --flow <flow>  only this flow
  --all          names all of them
  --accept       accepts the records of the CRM that cannot be used: those that are there now, and from now
                 on they are no drift
  --repair       has the running service send what is missing; in customer-sync also what is different or
                 dead: a new version of what the shop has, above that of the CRM
  --trust-list   with --repair: also what was delivered and is not in the inventory's list any more;
                 say so when the inventory was reset or lost it, never when its list is cut off; not needed
                 for customer-sync
  --json         prints one JSON object for each flow, which names all of them
  --help         this text

Exit code: 0 without drift, 1 with, also when nobody has accepted a record that cannot be used, 2 when it could not compare.`;

function parse() {
  const { values } = parseArgs({
    options: {
      accept: { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
      flow: { type: 'string' },
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
  const chosen = flows.filter(({ name }) => [name, undefined].includes(options.flow));
  if (options.flow !== undefined && chosen.length === 0) {
    throw new UsageError(flowIsOff(options.flow, flows));
  }
  let hasDrift = false;
  for (const flow of chosen) {
    if (chosen.length > 1 && !options.json) print(`${flow.name}:`);
    if (heldIn(flow)) hasDrift = (await auditFlow(flow, ledger, options)) || hasDrift;
    else printError(`${flow.name} is not audited: the ${flow.target.name} has no list.`);
  }
  return hasDrift ? 1 : 0;
});

/** Audits a flow and prints the report; returns whether there is drift. */
async function auditFlow(
  flow: Flow,
  ledger: Ledger,
  { accept, all, json, repair, 'trust-list': trustList }: ReturnType<typeof parse>,
): Promise<boolean> {
  const { name, target } = flow;
  const source = sourceOf(flow);
  const of = source && { flow: name, source: source.name };
  const rejects = of && createRejectBook({ of, ledger, ...CLOCKS });
  const onUnusable = rejects?.enter ?? (() => {});
  const report = await audit({ flow, onUnusable, ledger, repair, trustList, ...CLOCKS });
  await rejects?.enterLedger();
  if (accept) await rejects?.accept();
  const hasDrift = report.hasDrift || (rejects?.counts().unaccepted ?? 0) > 0;
  if (json) printJson(name, hasDrift, report, rejects);
  else {
    const most = all ? Number.POSITIVE_INFINITY : NAMED;
    printKinds(flow, report, most);
    if (source && rejects) printUnusable(source, rejects, most);
    printSuspicions(flow, report);
    if (repair) printRepaired(report, target.name, flow.audit.repair !== undefined);
  }
  report.close();
  rejects?.close();
  return hasDrift;
}

/** The source that may have records that cannot be used. */
function sourceOf({ audit: { source }, sources }: Flow) {
  return sources.filter((each) => each.kind === 'polled').find(({ name }) => name === source);
}
type Source = NonNullable<ReturnType<typeof sourceOf>>;

function printJson(
  flow: string,
  drift: boolean,
  { counts, entriesOf }: AuditReport,
  rejects: RejectBook | undefined,
): void {
  const kinds = AUDIT_KINDS.filter((kind) => counts[kind] !== undefined).map((kind) => {
    const entries = entriesOf(kind);
    return [kind, [...(kind === 'different' ? entries : entries.map(({ id }) => id))]];
  });
  const unusable = rejects
    ?.rows()
    .map(({ position, id, reason, isListed, isAccepted }) => {
      return { position, id, reason, listed: isListed, accepted: isAccepted };
    })
    .toArray();
  print(JSON.stringify({ flow, drift, ...Object.fromEntries(kinds), unusable }));
}

function printKinds(flow: Flow, { counts, entriesOf }: AuditReport, most: number): void {
  for (const kind of AUDIT_KINDS) {
    const [count, meaning] = [counts[kind], flow.audit.kinds[kind]];
    if (count === undefined) continue;
    print(`${kind.padEnd(9)} ${String(count).padStart(8)}  ${meaning}`);
    const entries = entriesOf(kind).map((entry) => [
      entry.id,
      ...(kind === 'different' ? describeDifferences(entry, flow.target.name) : []),
    ]);
    printSome(entries, count, most);
  }
}

function describeDifferences({ differences }: AuditEntry, target: string): string[] {
  const textOf = (value: unknown) =>
    value === null ? 'nothing' : shorten(JSON.stringify(value), MOST_OF_VALUE);
  return differences.map(
    ({ field, expected, found }) =>
      `  ${field}: ${textOf(expected)}, in the ${target} ${textOf(found)}`,
  );
}

/** Prints the records that cannot be used, those that the source lists now first, and says what to do. */
function printUnusable({ system, noun }: Source, book: RejectBook, most: number): void {
  const { all, unaccepted } = book.counts();
  print(`unusable  ${String(all).padStart(8)}  records of the ${system} that are no ${noun}s`);
  const lines = book.rows().map((reject) => {
    const notes = [!reject.isListed && 'not listed now', reject.isAccepted && 'accepted'];
    const note = notes.filter(Boolean).join(', ');
    return [`${describeUnusable(reject)}${note && ` (${note})`}`];
  });
  printSome(lines, all, most);
  if (unaccepted === 0) return;
  print(`Nobody has accepted ${unaccepted} of them: correct them in the ${system}, or run`);
  print('npm run audit -- --accept, which accepts all that are there now.');
}

function printSome(entries: IteratorObject<string[]>, count: number, most: number): void {
  for (const lines of entries.take(most)) for (const line of lines) print(`  ${line}`);
  if (count > most) print(`  … and ${count - most} more; --all names them`);
}

/** Prints signs that a system was reset, or does not list everything. */
function printSuspicions(flow: Flow, { counts, lostBySource, shortfall }: AuditReport): void {
  const { system, noun } = sourceOf(flow) ?? {};
  if (lostBySource !== undefined && system) {
    print(`None of the ${lostBySource} known ${noun}s is in the ${system}'s list: was it reset?`);
  }
  if (shortfall !== undefined && counts.missing) print(`The ${flow.target.name} ${shortfall}`);
}

function printRepaired(
  { repaired, unrepaired }: AuditReport,
  target: string,
  byFlow: boolean,
): void {
  const what = byFlow ? 'New versions' : 'Put back to pending';
  print(`${what}: ${repaired}. A running service sends them.`);
  if (unrepaired === 0) return;
  print(
    byFlow
      ? `Not repaired: ${unrepaired} that have changed meanwhile. Audit again.`
      : `Not put back: ${unrepaired} that were delivered before. If the ${target} has lost them, and its list is not cut off: npm run audit -- --repair --trust-list`,
  );
}
