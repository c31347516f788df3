/** How a part of the benchmarks is measured. */
export interface BenchOptions {
  /** How often each figure is measured. */
  runs: number;
  /** Numbers of stored customers, one measurement each; ascending. */
  sizes: number[];
}

/** A quantity measured several times, and the limit that it is compared with. */
export interface Figure {
  what: string;
  unit: string;
  values: number[];
  /** The bare limit of the machine, measured in alternation with the values. */
  limits?: number[];
  /** The target, in words. */
  target?: string;
}

export const median = (values: number[]) => percentile(values, 0.5);

/** The smallest value that a share of all values does not exceed. */
export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** A line of a Markdown table: median, minimum and maximum, the limit, and the ratio of each pair. */
export function formatFigure({ what, unit, values, limits, target = '' }: Figure): string {
  const cells = [
    what,
    `${format(median(values))} ${unit}`,
    spread(values),
    ...(limits ? [format(median(limits)), ratios(values, limits)] : ['', '']),
    target,
  ];
  return `| ${cells.join(' | ')} |`;
}

export const TABLE_HEAD = [
  '| what | median | from … to | bare limit | ratio, from … to | must be |',
  '|---|---|---|---|---|---|',
].join('\n');

function ratios(values: number[], limits: number[]): string {
  const each = values.map((value, i) => value / (limits[i] ?? Number.NaN));
  return each.length > 1 ? `${format(median(each))}, ${spread(each)}` : format(median(each));
}

function spread(values: number[]): string {
  return values.length > 1 ? `${format(Math.min(...values))} … ${format(Math.max(...values))}` : '';
}

function format(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toPrecision(value >= 10 ? 3 : 2);
}
