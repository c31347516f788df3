import type { Proof } from './proof.ts';
import type { CellResult } from './result.ts';

/** Whether nothing was lost, doubled or otherwise wrong. */
export function isGood({ lost, doubled, problems }: CellResult): boolean {
  return lost.length + doubled.length + problems.length === 0;
}

/** `lost/doubled` of the cells of a flow: a table for each kind of target, with a column for each fault. */
export function formatMatrix(proof: Proof, results: CellResult[]): string {
  const labels = proof.sources.flatMap(({ killPoints, label }) => [
    ...killPoints.map((point) => point.label),
    label,
  ]);
  const cells = new Map(
    results.map((result) => {
      const { point, source, fault, targetKind } = result.cell;
      return [`${targetKind} ${point?.label ?? source.label} ${fault}`, formatCell(result)];
    }),
  );
  const tables = proof.targetKinds.map((kind) => {
    const rows = labels
      .map((label) => [
        label,
        ...proof.faults.map((f) => cells.get(`${kind} ${label} ${f}`) ?? '.'),
      ])
      .filter((row) => row.slice(1).some((value) => value !== '.'));
    return rows.length > 0
      ? [formatTable([[`${kind} ${proof.nouns.target}`, ...proof.faults], ...rows])]
      : [];
  });
  return tables.flat().join('\n\n');
}

function formatCell({ lost, doubled, problems }: CellResult): string {
  return `${lost.length}/${doubled.length}${problems.length > 0 ? '!' : ''}`;
}

/** The sums of a flow, for each kind of target or source. Times are in seconds. */
export function formatSums(proof: Proof, results: CellResult[], replicas: number): string {
  const { target, effects } = proof.nouns;
  const groups = Map.groupBy(results, ({ cell }) =>
    cell.source.killPoints.length > 0 ? `${cell.targetKind} ${target}` : cell.source.label,
  );
  const rows = [...groups]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([label, own]) => ({ '': label, ...sumsOf(own, effects) }));
  return [
    formatTable([Object.keys(rows[0] ?? {}), ...rows.map((row) => Object.values(row).map(String))]),
    'cuts: of connections, in sending and in receiving; restarts: of the broker',
    `first call: seconds from the ${replicas > 1 ? 'kill' : 'restart'} to the first call at the ${target}; delivered: until all was (median / longest)`,
  ].join('\n');
}

function sumsOf(results: CellResult[], effects: string): Record<string, string | number> {
  const recoveries = results.flatMap(({ recovery }) => recovery ?? []);
  return {
    cells: results.length,
    kills: sum(results, ({ kills }) => kills),
    cuts: sum(results, countOf('cut')),
    restarts: sum(results, countOf('restart')),
    customers: sum(results, ({ ids }) => ids.length),
    [effects]: sum(results, (result) => result.effects),
    lost: sum(results, ({ lost }) => lost.length),
    doubled: sum(results, ({ doubled }) => doubled.length),
    'first call': medianAndMax(recoveries.flatMap(({ firstCallMs }) => firstCallMs ?? [])),
    delivered: medianAndMax(recoveries.map(({ deliveredMs }) => deliveredMs)),
  };
}

function sum(results: CellResult[], of: (result: CellResult) => number): number {
  return results.reduce((total, result) => total + of(result), 0);
}

function countOf(kind: string): (result: CellResult) => number {
  return ({ disturbed }) => disturbed.filter((each) => each.kind === kind).length;
}

function medianAndMax(times: number[]): string {
  if (times.length === 0) return '-';
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  return [median, sorted.at(-1) as number].map((ms) => (ms / 1000).toFixed(1)).join(' / ');
}

/** Aligns the first column on the left, the others on the right. */
function formatTable(rows: string[][]): string {
  const widthOf = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map((row) =>
      row
        .map((value, i) => (i === 0 ? value.padEnd(widthOf(i)) : value.padStart(widthOf(i) + 2)))
        .join(''),
    )
    .join('\n');
}

/** What was wrong in a cell, with everything that helps to find the cause. */
export function formatBadCell(result: CellResult, { repeat }: { repeat: string }): string {
  const { cell, lost, doubled, problems, histories, kept } = result;
  return [
    `${cell.name}: ${lost.length} lost, ${doubled.length} doubled`,
    ...problems.map((problem) => `  ${problem}`),
    ...Object.entries(histories).flatMap(([id, history]) => [
      `  ${lost.includes(id) ? 'lost' : 'doubled'}: customer ${id}, by the ledger:`,
      ...history
        .trim()
        .split('\n')
        .map((line) => `    ${line}`),
    ]),
    `  Logs and ledger: ${kept}`,
    `  Again: ${repeat} --only ${cell.name}`,
  ].join('\n');
}

/** A one-line summary of the run. */
export function formatVerdict(results: CellResult[], seconds: number): string {
  const lost = sum(results, (result) => result.lost.length);
  const doubled = sum(results, (result) => result.doubled.length);
  const customers = sum(results, ({ ids }) => ids.length);
  const kills = sum(results, (result) => result.kills);
  const cuts = sum(results, countOf('cut')) + sum(results, countOf('restart'));
  const disturbances = `${kills} kills${cuts > 0 ? `, ${cuts} cuts and restarts` : ''}`;
  const facts = `${lost} lost, ${doubled} doubled: ${customers} customers, ${disturbances}, ${results.length} cells, ${seconds.toFixed(0)} s`;
  const bad = results.filter((result) => !isGood(result)).length;
  return bad === 0 ? `PROVED: ${facts}.` : `FAILED: ${facts}; ${bad} bad cell(s).`;
}
