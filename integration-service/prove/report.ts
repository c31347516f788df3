import type { Disturbance, Proof } from './proof.ts';
import type { CellResult } from './result.ts';

/** Widths of columns: labels, cells of the matrix. */
const LABEL = 21;
const CELL = 6;
/** Between two columns of sums. */
const GAP = 3;

/** Whether nothing was lost, doubled or otherwise wrong. */
export function isGood({ lost, doubled, problems }: CellResult): boolean {
  return lost.length + doubled.length + problems.length === 0;
}

/** A line of a table. */
function formatRow(label: string, values: (string | number)[], width: number): string {
  return label.padEnd(LABEL) + values.map((value) => String(value).padStart(width)).join('');
}

/** `lost/doubled` of every cell of a flow: one row per kill point or source, one column per fault and target. */
export function formatMatrix(
  { sources, targetKinds, nouns }: Proof,
  results: CellResult[],
): string {
  const faults = [...new Set(sources.flatMap((source) => source.faults))];
  const columns = targetKinds.flatMap((kind) => faults.map((fault) => ({ kind, fault })));
  const titles = targetKinds.map((kind) => center(`${kind} ${nouns.target}`, CELL * faults.length));
  const rows = sources
    .flatMap((source) => [...source.killPoints, source])
    .flatMap(({ label }) => {
      const row = results.filter(({ cell }) => (cell.point ?? cell.source).label === label);
      const cells = columns.map(({ kind, fault }) =>
        row.find(({ cell }) => cell.targetKind === kind && cell.fault === fault),
      );
      return row.length > 0 ? [formatRow(label, cells.map(formatCell), CELL)] : [];
    });
  const names = columns.map(({ fault }) => fault);
  const head = [formatRow('', titles, 0).trimEnd(), formatRow('killed', names, CELL)];
  return [...head, ...rows].join('\n');
}

function formatCell(result: CellResult | undefined): string {
  if (!result) return '.';
  const { lost, doubled, problems } = result;
  return `${lost.length}/${doubled.length}${problems.length > 0 ? '!' : ''}`;
}

function center(text: string, width: number): string {
  return text.padStart(text.length + Math.floor((width - text.length) / 2)).padEnd(width);
}

type Columns = Record<string, (results: CellResult[]) => string | number>;

/** What disturbs a flow, and how the report explains it. */
const DISTURBANCES: { kind: Disturbance['kind']; note: (nouns: Proof['nouns']) => string }[] = [
  { kind: 'cut', note: () => 'cuts: of connections, in sending and in receiving' },
  { kind: 'restart', note: ({ restarted }) => `restarts: of the ${restarted}` },
  { kind: 'restore', note: () => 'restores: of a backup of the ledger' },
];
const RECOVERY: Columns = {
  'first call': timesOf(({ recovery }) => recovery?.firstCallMs),
  delivered: timesOf(({ recovery }) => recovery?.deliveredMs),
};

/** The sums of a flow: of its kills for each kind of target, and of each source that is disturbed otherwise. */
export function formatSums({ nouns }: Proof, results: CellResult[], replicas: number): string {
  const counts: Columns = {
    cells: (own) => own.length,
    kills: sumOf(({ kills }) => kills.length),
    [`${nouns.record}s`]: sumOf(({ ids }) => ids.length),
    ...(sumOf(({ changes }) => changes)(results) > 0 && {
      changes: sumOf(({ changes }) => changes),
    }),
    [nouns.effects]: sumOf(({ effects }) => effects),
    ...(sumOf(({ dead }) => dead)(results) > 0 && { 'of them dead': sumOf(({ dead }) => dead) }),
    lost: sumOf(({ lost }) => lost.length),
    doubled: sumOf(({ doubled }) => doubled.length),
  };
  const isKilledAtSteps = ({ cell }: CellResult) => cell.source.killPoints.length > 0;
  const killed = results.filter(isKilledAtSteps);
  const others = results.filter((result) => !isKilledAtSteps(result));
  const kinds = DISTURBANCES.filter(({ kind }) =>
    others.some(({ disturbed }) => disturbed.includes(kind)),
  );
  const tables = [
    ...formatTable(
      Map.groupBy(killed, ({ cell }) => cell.targetKind),
      { ...counts, ...RECOVERY },
      `first call: seconds from the ${replicas > 1 ? 'kill' : 'restart'} to the first call at the ${nouns.target}; delivered: until all was (median / longest)`,
    ),
    ...formatTable(
      Map.groupBy(others, ({ cell }) => cell.source.label),
      {
        ...counts,
        ...Object.fromEntries(
          kinds.map(({ kind }) => [
            `${kind}s`,
            sumOf(({ disturbed }) => disturbed.filter((each) => each === kind).length),
          ]),
        ),
      },
      kinds.map(({ note }) => note(nouns)).join('; '),
    ),
  ];
  return tables.join('\n\n');
}

/** A row for each group; no table if there is none. */
function formatTable(groups: Map<string, CellResult[]>, columns: Columns, note: string): string[] {
  if (groups.size === 0) return [];
  const sorted = [...groups].toSorted(([a], [b]) => a.localeCompare(b));
  const texts = Object.entries(columns).map(([name, of]) => [
    name,
    ...sorted.map(([, own]) => String(of(own))),
  ]);
  const aligned = texts.map((column) => {
    const width = Math.max(...column.map((text) => text.length)) + GAP;
    return column.map((text) => text.padStart(width));
  });
  const rows = ['', ...sorted.map(([label]) => label)].map((label, i) =>
    formatRow(
      label,
      aligned.map((column) => column[i] as string),
      0,
    ),
  );
  return [[...rows, note].join('\n')];
}

function sumOf(of: (result: CellResult) => number): (results: CellResult[]) => number {
  return (results) => results.reduce((sum, result) => sum + of(result), 0);
}

/** Median and maximum, in seconds. */
function timesOf(of: (result: CellResult) => number | undefined): Columns[string] {
  return (results) => {
    const times = results.flatMap((result) => of(result) ?? []).toSorted((a, b) => a - b);
    const middle = times[Math.floor((times.length - 1) / 2)];
    const both = [middle, times.at(-1)].flatMap((ms) => ms ?? []);
    return both.map((ms) => (ms / 1000).toFixed(1)).join(' / ') || '-';
  };
}

/** What was wrong in a cell, with everything that helps to find the cause. */
export function formatBadCell(result: CellResult, { repeat }: { repeat: string }): string {
  const { cell, lost, doubled, problems, histories, kept } = result;
  const { record } = cell.proof.nouns;
  return [
    `${cell.name}: ${lost.length} lost, ${doubled.length} doubled`,
    ...problems.map((problem) => `  ${problem}`),
    ...Object.entries(histories).flatMap(([id, history]) => [
      `  ${lost.includes(id) ? 'lost' : 'doubled'}: ${record} ${id}, by the ledger:`,
      history.trim().replaceAll(/^/gm, '    '),
    ]),
    `  Logs and ledger: ${kept}`,
    `  Again: ${repeat} --only ${cell.name}`,
  ].join('\n');
}

/** A one-line summary of the run. */
export function formatVerdict(results: CellResult[], seconds: number): string {
  const bad = results.filter((result) => !isGood(result)).length;
  const cuts = sumOf(({ disturbed }) => disturbed.length)(results);
  const lost = sumOf((result) => result.lost.length)(results);
  const doubled = sumOf((result) => result.doubled.length)(results);
  const records = sumOf(({ ids }) => ids.length)(results);
  const changes = sumOf((result) => result.changes)(results);
  const changed = sumOf(({ ids, changes }) => (changes > 0 ? ids.length : 0))(results);
  const kills = sumOf((result) => result.kills.length)(results);
  const facts = [
    `${lost} lost, ${doubled} doubled: ${records} ${results[0]?.cell.proof.nouns.record}s`,
    ...(changes > 0 ? [`${changes} changes of ${changed} of them`] : []),
    `${kills} kills`,
    ...(cuts > 0 ? [`${cuts} cuts and restarts`] : []),
    `${results.length} cells`,
    `${seconds.toFixed(0)} s`,
  ].join(', ');
  return bad === 0 ? `PROVED: ${facts}.` : `FAILED: ${facts}; ${bad} bad cell(s).`;
}
