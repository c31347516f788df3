/** `npm run bench`: how fast the platform is, as ratios of what the machine can do at the same time. */
import { parseArgs } from 'node:util';
import { type Figure, formatFigure, TABLE_HEAD } from './figures.ts';
import { benchCreates } from './parts/creates.ts';
import { benchDrain } from './parts/drain.ts';
import { benchLists } from './parts/lists.ts';

const parts: Record<string, (options: { runs: number }) => AsyncIterable<Figure>> = {
  creates: (o) => benchCreates({ ...o, sizes: [0, 10_000, 100_000, 1_000_000] }),
  lists: (o) => benchLists({ ...o, sizes: [1_000, 100_000] }),
  drain: (o) => benchDrain({ ...o, sizes: [10_000, 100_000] }),
};
const { values } = parseArgs({ options: { only: { type: 'string' }, runs: { type: 'string', default: '5' } } });
process.stdout.write(`${TABLE_HEAD}\n`);
for (const [name, part] of Object.entries(parts)) {
  if (values.only && values.only !== name) continue;
  for await (const figure of part({ runs: Number(values.runs) })) process.stdout.write(`${formatFigure(figure)}\n`);
}
