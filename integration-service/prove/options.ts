import { parseArgs } from 'node:util';
import { z } from 'zod';
import { PROOFS } from './plan.ts';

const SOURCES = PROOFS.flatMap(({ sources }) => sources);
const ALL_SOURCES = [...new Set(SOURCES.map(({ name }) => name))];
const WITH_DOCKER = SOURCES.filter(({ needsDocker }) => needsDocker).map(({ name }) => name);
const DEFAULT_SOURCES = ALL_SOURCES.filter((name) => !WITH_DOCKER.includes(name));

export const HELP = `Usage: npm run prove -- [options]

${PROOFS.map(({ description }) => description).join('\n\n')}
Needs nothing that runs; leaves nothing behind.

  --source <names>   how customers come, some of ${ALL_SOURCES} (default: ${DEFAULT_SOURCES}). For
                     ${WITH_DOCKER}, starts a broker of its own, which needs Docker
  --kills <n>        kills at random times of a service that polls (default: 50, with --quick 8)
  --customers <n>    customers whose events each source sends, or some more (default: 200, with
                     --quick 40)
  --disturbances <n> kills, cuts and restarts meanwhile, one of three a kill (default: 24, with --quick 12)
  --quick            a part of the matrix, for CI
  --only <text>      only cells with this in their name, such as stored/drops/plain or webhook/
  --seed <n>         repeats the choices of an earlier run (default: a new one)
  --ledger <url>     postgres://…: a PostgreSQL server on which a database is made for each cell
                     (default: SQLite files in the temporary folder)
  --replicas <n>     processes that share the ledger (default: 1). One killed at a step is not started
                     again: the others take its work over. Needs --ledger
  --help             this text

Exit code: 0 nothing was lost or doubled, 1 something was or a cell did not end well, 2 it could not run.
`;

/** The options are invalid; the message has one line per problem. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
  readonly code = 'OPTIONS_INVALID';
}

const DEFAULTS = { kills: 50, customers: 200, disturbances: 24 };
const QUICK_DEFAULTS = { kills: 8, customers: 40, disturbances: 12 };

const amount = wholeNumber(0, 1_000_000).exactOptional();

const optionsSchema = z
  .object({
    source: z.array(z.string()).default(DEFAULT_SOURCES).transform(parseSources),
    ...{ kills: amount, customers: amount, disturbances: amount },
    quick: z.boolean().default(false),
    only: z.string().optional(),
    seed: wholeNumber(0, 2 ** 32 - 1).optional(),
    ledger: z.url({ protocol: /^postgres(ql)?$/, error: 'must be postgres://…' }).optional(),
    replicas: wholeNumber(1, 20).default(1),
    help: z.boolean().default(false),
  })
  .refine(({ replicas, ledger }) => replicas === 1 || ledger, {
    path: ['replicas'],
    error: 'above 1 needs --ledger',
  })
  .transform(({ source: sources, ...options }) => ({
    ...(options.quick ? QUICK_DEFAULTS : DEFAULTS),
    ...options,
    sources,
  }));

export type Options = z.output<typeof optionsSchema>;

/** @throws {OptionsError} with all problems at once */
export function parseOptions(args: string[]): Options {
  const result = optionsSchema.safeParse(readArgs(args));
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `--${path.join('.')} ${message}`);
  throw new OptionsError(problems.join('\n'));
}

function readArgs(args: string[]): Record<string, unknown> {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    ...{ source: { ...text, multiple: true }, kills: text, customers: text, disturbances: text },
    ...{ quick: flag, only: text, seed: text, ledger: text, replicas: text },
    help: { ...flag, short: 'h' },
  };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new OptionsError((error as Error).message);
  }
}

/** Parses lists of names, separated by commas. */
function parseSources(lists: string[], context: z.RefinementCtx): string[] {
  const names = lists.flatMap((list) => list.split(','));
  if (names.some((name) => !ALL_SOURCES.includes(name))) {
    context.addIssue(`must be some of ${ALL_SOURCES}`);
  }
  return names;
}

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  const isInRange = (value: number) => value >= min && value <= max;
  return z.string().regex(/^\d+$/, error).transform(Number).refine(isInRange, error);
}
