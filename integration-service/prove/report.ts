import type { CellResult } from './cell.ts';
import { FAULTS, INVENTORY_KINDS } from './fault.ts';
import { KILL_POINTS } from './kill-point.ts';
import type { SourceName } from './source-name.ts';

const COLUMN = 6;
const LABEL = Math.max(...KILL_POINTS.map(({ label }) => label.length)) + 1;
const SUMMARY_COLUMN = 11;

const SOURCE_LABELS: Record<SourceName, string> = {
  poll: 'polled',
  webhook: 'events by webhook',
  rabbitmq: 'events by RabbitMQ',
};

/** Whether nothing was lost, doubled or otherwise wrong. */
export function isGood({ lost, doubled, problems }: CellResult): boolean {
  return lost.length + doubled.length + problems.length === 0;
}

/** `lost/doubled` of every cell: one row per kill point, one column per fault under each inventory. */
export function formatMatrix(results: CellResult[]): string {
  const kinds = INVENTORY_KINDS.flatMap((inventory) =>
    FAULTS.map((fault) => ({ inventory, fault })),
  );
  const rows = [
    ...KILL_POINTS.map(({ step, label }) => ({
      label,
      isIn: ({ cell }: CellResult) => cell.source === 'poll' && cell.kills === step,
    })),
    {
      label: 'at random times',
      isIn: ({ cell }: CellResult) => cell.source === 'poll' && typeof cell.kills === 'number',
    },
    ...(['webhook', 'rabbitmq'] as const).map((source) => ({
      label: SOURCE_LABELS[source],
      isIn: ({ cell }: CellResult) => cell.source === source,
    })),
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

/** The figures of each inventory kind for polling, and of each event source. Times are in seconds. */
export function formatSummary(results: CellResult[], { replicas }: { replicas: number }): string {
  const polled = results.filter(({ cell }) => cell.source === 'poll');
  const tables: string[] = [];
  if (polled.length > 0) tables.push(formatPolled(polled, replicas));
  if (polled.length < results.length) tables.push(formatEvents(results));
  return tables.join('\n\n');
}

function formatPolled(results: CellResult[], replicas: number): string {
  const since = replicas > 1 ? 'from the kill' : 'from the restart';
  const rows = INVENTORY_KINDS.map((kind) => {
    const own = results.filter(({ cell }) => cell.inventory === kind);
    const recoveries = own.flatMap(({ recovery }) => recovery ?? []);
    return [
      kind,
      ...countsOf(own),
      medianAndMax(recoveries.flatMap(({ firstCallMs }) => firstCallMs ?? [])),
      medianAndMax(recoveries.map(({ deliveredMs }) => deliveredMs)),
    ];
  });
  return [
    formatTable([['', ...COUNTS, 'first call', 'delivered'], ...rows]),
    `first call: seconds ${since} to the first call at the inventory; delivered: until all was (median / longest)`,
  ].join('\n');
}

function formatEvents(results: CellResult[]): string {
  const rows = (['webhook', 'rabbitmq'] as const).flatMap((source) => {
    const own = results.filter(({ cell }) => cell.source === source);
    if (own.length === 0) return [];
    const cuts = sumOf(own, (result) => result.cuts);
    const restarts = sumOf(own, (result) => result.restarts);
    return [[SOURCE_LABELS[source], ...countsOf(own), cuts, restarts]];
  });
  return [
    formatTable([['', ...COUNTS, 'cuts', 'restarts'], ...rows]),
    'cuts: of connections, in sending and in receiving; restarts: of the broker',
  ].join('\n');
}

const COUNTS = ['cells', 'kills', 'customers', 'packages', 'lost', 'doubled'];

function countsOf(results: CellResult[]): number[] {
  return [
    results.length,
    sumOf(results, ({ kills }) => kills),
    sumOf(results, ({ customers }) => customers),
    sumOf(results, ({ packages }) => packages),
    sumOf(results, ({ lost }) => lost.length),
    sumOf(results, ({ doubled }) => doubled.length),
  ];
}

function sumOf(results: CellResult[], of: (result: CellResult) => number): number {
  return results.reduce((sum, result) => sum + of(result), 0);
}

function formatTable(rows: (string | number)[][]): string {
  const line = ([label, ...values]: (string | number)[]) =>
    String(label).padEnd(LABEL) +
    values.map((value, i) => String(value).padStart(widthOf(i))).join('');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

function widthOf(column: number): number {
  return column < COUNTS.length ? SUMMARY_COLUMN : SUMMARY_COLUMN + 4;
}

function medianAndMax(times: number[]): string {
  if (times.length === 0) return '-';
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return [median, sorted.at(-1) as number].map((ms) => (ms / 1000).toFixed(1)).join(' / ');
}

/** What was wrong in a cell, with everything that helps to find the cause. */
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

/** A one-line summary of the run. */
export function formatVerdict(results: CellResult[], seconds: number): string {
  const bad = results.filter((result) => !isGood(result));
  const lost = sumOf(results, (result) => result.lost.length);
  const doubled = sumOf(results, (result) => result.doubled.length);
  const kills = sumOf(results, (result) => result.kills);
  const cuts = sumOf(results, (result) => result.cuts + result.restarts);
  const customers = sumOf(results, (result) => result.customers);
  const disturbances = `${kills} kills${cuts > 0 ? `, ${cuts} cuts and restarts` : ''}`;
  const facts = `${lost} lost, ${doubled} doubled: ${customers} customers, ${disturbances}, ${results.length} cells, ${seconds.toFixed(0)} s`;
  return bad.length === 0 ? `PROVED: ${facts}.` : `FAILED: ${facts}; ${bad.length} bad cell(s).`;
}
