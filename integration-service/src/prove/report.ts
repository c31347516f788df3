import type { CellResult } from './cell.ts';
import { FAULTS, INVENTORY_KINDS } from './fault.ts';
import { KILL_POINTS } from './kill-point.ts';

const COLUMN = 6;
const LABEL = Math.max(...KILL_POINTS.map(({ label }) => label.length)) + 1;
const SUMMARY_COLUMN = 11;

/** Nothing lost, nothing doubled, nothing else wrong. */
export function isGood({ lost, doubled, problems }: CellResult): boolean {
  return lost.length + doubled.length + problems.length === 0;
}

/** `lost/doubled` of every cell; one row a kill point, one column a fault under each inventory. */
export function formatMatrix(results: CellResult[]): string {
  const kinds = INVENTORY_KINDS.flatMap((inventory) =>
    FAULTS.map((fault) => ({ inventory, fault })),
  );
  const rows = [
    ...KILL_POINTS.map(({ step, label }) => ({
      label,
      isIn: ({ cell }: CellResult) => cell.kills === step,
    })),
    {
      label: 'at random times',
      isIn: ({ cell }: CellResult) => typeof cell.kills === 'number',
    },
  ].filter(({ isIn }) => results.some(isIn));

  const lines = [
    ' '.repeat(LABEL) +
      INVENTORY_KINDS.map((kind) => center(`${kind} inventory`, COLUMN * FAULTS.length)).join(''),
    'killed'.padEnd(LABEL) + kinds.map(({ fault }) => fault.padStart(COLUMN)).join(''),
    ...rows.map(
      ({ label, isIn }) =>
        label.padEnd(LABEL) +
        kinds
          .map(({ inventory, fault }) =>
            results.find(
              (each) =>
                isIn(each) && each.cell.inventory === inventory && each.cell.fault === fault,
            ),
          )
          .map((result) => formatCell(result).padStart(COLUMN))
          .join(''),
    ),
  ];
  return lines.map((line) => line.trimEnd()).join('\n');
}

function formatCell(result: CellResult | undefined): string {
  if (!result) return '.';
  const { lost, doubled, problems } = result;
  return `${lost.length}/${doubled.length}${problems.length > 0 ? '!' : ''}`;
}

function center(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2);
  return text.padStart(text.length + left, ' ').padEnd(width);
}

/** The figures of each inventory kind. Times are in seconds, median and longest. */
export function formatSummary(results: CellResult[], { replicas }: { replicas: number }): string {
  const since = replicas > 1 ? 'from the kill' : 'from the restart';
  const header = ['', 'cells', 'kills', 'customers', 'packages', 'lost', 'doubled'];
  const rows = INVENTORY_KINDS.map((kind) => {
    const own = results.filter(({ cell }) => cell.inventory === kind);
    const sum = (of: (result: CellResult) => number) => own.reduce((all, r) => all + of(r), 0);
    const recoveries = own.flatMap(({ recovery }) => recovery ?? []);
    return [
      kind,
      own.length,
      sum(({ kills }) => kills),
      sum(({ customers }) => customers),
      sum(({ packages }) => packages),
      sum(({ lost }) => lost.length),
      sum(({ doubled }) => doubled.length),
      medianAndMax(recoveries.flatMap(({ firstCallMs }) => firstCallMs ?? [])),
      medianAndMax(recoveries.map(({ deliveredMs }) => deliveredMs)),
    ];
  });
  const all = [[...header, 'first call', 'delivered'], ...rows];
  return [
    ...all.map((row) =>
      row
        .map((value, i) =>
          i === 0 ? String(value).padEnd(LABEL) : String(value).padStart(widthOf(i)),
        )
        .join('')
        .trimEnd(),
    ),
    `first call: seconds ${since} to the first call at the inventory; delivered: until all was (median / longest)`,
  ].join('\n');
}

function widthOf(column: number): number {
  return column >= 7 ? SUMMARY_COLUMN + 4 : SUMMARY_COLUMN;
}

function medianAndMax(times: number[]): string {
  if (times.length === 0) return '-';
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return [median, sorted.at(-1) as number].map((ms) => (ms / 1000).toFixed(1)).join(' / ');
}

/** What was wrong in a cell, with all that helps to find out why. */
export function formatBadCell(result: CellResult, { repeat }: { repeat: string }): string {
  const { cell, lost, doubled, problems, histories, kept } = result;
  return [
    `${cell.name}: ${lost.length} lost, ${doubled.length} doubled`,
    ...problems.map((problem) => `  ${problem}`),
    ...Object.entries(histories).flatMap(([id, lines]) => [
      `  ${lost.includes(id) ? 'lost' : 'doubled'}: customer ${id}, by the ledger:`,
      ...lines.map((line) => `    ${line}`),
    ]),
    `  Logs and ledger: ${kept}`,
    `  Again: ${repeat} --only ${cell.name}`,
  ].join('\n');
}

/** One line that says it all. */
export function formatVerdict(results: CellResult[], seconds: number): string {
  const bad = results.filter((result) => !isGood(result));
  const sum = (of: (result: CellResult) => number) => results.reduce((all, r) => all + of(r), 0);
  const lost = sum((result) => result.lost.length);
  const doubled = sum((result) => result.doubled.length);
  const kills = sum((result) => result.kills);
  const customers = sum((result) => result.customers);
  const facts = `${lost} lost, ${doubled} doubled: ${customers} customers, ${kills} kills, ${results.length} cells, ${seconds.toFixed(0)} s`;
  return bad.length === 0 ? `PROVED: ${facts}.` : `FAILED: ${facts}; ${bad.length} bad cell(s).`;
}
