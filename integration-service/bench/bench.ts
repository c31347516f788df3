/** `npm run bench`: measures the platform, together with the limits of this machine at the same time. */
import { parseArgs } from 'node:util';
import { endWithoutReader } from 'service-kit/terminal';
import { type BenchOptions, type Figure, formatFigure, TABLE_HEAD } from './figures.ts';

type Part = (options: BenchOptions) => AsyncIterable<Figure>;

/** Loaded one by one: whatever this process has loaded beside its part slows down the client in it. */
const PARTS: Record<string, () => Promise<Part>> = {
  'start-up': async () => (await import('./parts/start-up.ts')).benchStartUp,
  latency: async () => (await import('./parts/latency.ts')).benchLatency,
  creates: async () => (await import('./parts/creates.ts')).benchCreates,
  lists: async () => (await import('./parts/lists.ts')).benchLists,
  'first-run': async () => (await import('./parts/first-run.ts')).benchFirstRun,
  'customer-sync': async () => (await import('./parts/customer-sync.ts')).benchCustomerSync,
  lambda: async () => (await import('./parts/lambda.ts')).benchLambda,
};

const HELP = `Usage: npm run bench -- [options]

Measures the three services on this machine, several times each, and prints a table: the median, the
spread, and where there is one the bare limit, measured in turn with it. Ratios can be compared between
machines, absolute figures cannot. Needs Linux and two cores, and nothing else running on them.

  --only <part>     ${Object.keys(PARTS).join(', ')}
  --runs <n>        how often each is measured (default: 5)
  --max <n>         no more customers than this (default: 1000000)
  --rabbitmq <url>  amqp://…: a RabbitMQ that nothing else uses, for the latency of that source
  --help            this text
`;

endWithoutReader();
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    runs: { type: 'string', default: '5' },
    max: { type: 'string', default: '1000000' },
    rabbitmq: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [runs, max] = [Number(values.runs), Number(values.max)];
const isUsable = runs >= 1 && max >= 0 && (!values.only || values.only in PARTS);
if (values.help || !isUsable) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}
process.stdout.write(`${TABLE_HEAD}\n`);
for (const [name, load] of Object.entries(PARTS)) {
  if (values.only && values.only !== name) continue;
  const part = await load();
  for await (const figure of part({ runs, max, rabbitmqUrl: values.rabbitmq })) {
    process.stdout.write(`${formatFigure(figure)}\n`);
  }
}
