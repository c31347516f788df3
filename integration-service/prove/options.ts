import { parseArgs } from 'node:util';
import { z } from 'zod';
import { SOURCE_NAMES, type SourceName } from './source-name.ts';

export const HELP = `Usage: npm run prove -- [options]

Starts the real integration-service, kills it with SIGKILL, and counts packages: before and after each
step of a delivery and at random times, under each kind of fault of the inventory, with an inventory
that honours idempotency keys and one that does not. Where a real crm-api sends events instead of being
polled, also cuts connections on their way, sends webhooks twice and restarts the broker. Needs nothing
that runs; leaves nothing behind.

  --source <names>   how customers come, some of poll,webhook,rabbitmq (default: poll,webhook). For
                     rabbitmq, starts a broker of its own, which needs Docker
  --kills <n>        kills at random times of a service that polls (default: 50, with --quick 8)
  --customers <n>    customers whose events each source sends (default: 200, with --quick 40)
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

const MAX_COUNT = 1_000_000;

/** Defaults of a quick and of a full run. */
const DEFAULTS = {
  quick: { kills: 8, customers: 40, disturbances: 12 },
  full: { kills: 50, customers: 200, disturbances: 24 },
};

const optionsSchema = z
  .strictObject({
    source: z.array(z.string()).default(['poll', 'webhook']).transform(parseSources),
    kills: wholeNumber(0, MAX_COUNT).optional(),
    customers: wholeNumber(0, MAX_COUNT).optional(),
    disturbances: wholeNumber(0, MAX_COUNT).optional(),
    quick: z.boolean().default(false),
    only: z.string().optional(),
    seed: wholeNumber(0, 2 ** 32 - 1).optional(),
    ledger: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'must be postgres://…')
      .refine((url) => URL.canParse(url), 'must be a URL')
      .optional(),
    replicas: wholeNumber(1, 20).default(1),
    help: z.boolean().default(false),
  })
  .refine(({ replicas, ledger }) => replicas === 1 || ledger, {
    path: ['replicas'],
    error: 'above 1 needs --ledger',
  })
  .transform(({ source: sources, kills, customers, disturbances, ...options }) => {
    const defaults = options.quick ? DEFAULTS.quick : DEFAULTS.full;
    return {
      ...options,
      sources,
      kills: kills ?? defaults.kills,
      customers: customers ?? defaults.customers,
      disturbances: disturbances ?? defaults.disturbances,
    };
  });

export type Options = z.output<typeof optionsSchema>;

/** @throws {OptionsError} with all problems at once */
export function parseOptions(args: string[]): Options {
  const result = optionsSchema.safeParse(readArgs(args));
  if (result.success) return result.data;
  throw new OptionsError(
    result.error.issues.map(({ path, message }) => `--${path.join('.')} ${message}`).join('\n'),
  );
}

function readArgs(args: string[]): Record<string, unknown> {
  try {
    return parseArgs({
      args,
      options: {
        source: { type: 'string', multiple: true },
        kills: { type: 'string' },
        customers: { type: 'string' },
        disturbances: { type: 'string' },
        quick: { type: 'boolean' },
        only: { type: 'string' },
        seed: { type: 'string' },
        ledger: { type: 'string' },
        replicas: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new OptionsError((error as Error).message);
  }
}

/** Parses comma-separated lists of names. */
function parseSources(lists: string[], context: z.RefinementCtx): SourceName[] {
  const names = z.array(z.enum(SOURCE_NAMES)).safeParse(lists.flatMap((list) => list.split(',')));
  if (names.success) return names.data;
  context.addIssue(`must be some of ${SOURCE_NAMES.join(',')}`);
  return z.NEVER;
}

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, error)
    .transform(Number)
    .pipe(z.number().min(min, error).max(max, error));
}
