import { parseArgs } from 'node:util';
import { z } from 'zod';

export const HELP = `Usage: npm run prove -- [options]

Starts the real integration-service, kills it with SIGKILL, and counts packages: before and after each
step of a delivery and at random times, under each kind of fault of the inventory, with an inventory
that honours idempotency keys and one that does not. Needs nothing that runs; leaves nothing behind.

  --kills <n>        kills at random times (default: 50, with --quick 8)
  --quick            a part of the matrix, for CI
  --only <text>      only cells with this in their name, such as stored/drops/plain or random/
  --seed <n>         repeats the choices of an earlier run (default: a new one)
  --ledger <url>     postgres://…: a PostgreSQL server on which a database is made for each cell
                     (default: SQLite files in the temporary folder)
  --replicas <n>     processes that share the ledger (default: 1). A killed one is not started again:
                     the others take its work over. Needs --ledger
  --help             this text

Exit code: 0 nothing was lost or doubled, 1 something was or a cell did not end well, 2 it could not run.
`;

/** The options cannot be used; the message has one line for each problem. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
  readonly code = 'OPTIONS_INVALID';
}

const MAX_KILLS = 1_000_000;

const optionsSchema = z
  .strictObject({
    kills: wholeNumber(0, MAX_KILLS).optional(),
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
  .transform((options) => ({ ...options, kills: options.kills ?? (options.quick ? 8 : 50) }));

export type Options = z.output<typeof optionsSchema>;

/** @throws {OptionsError} with every problem at once */
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
        kills: { type: 'string' },
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

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, error)
    .transform(Number)
    .pipe(z.number().min(min, error).max(max, error));
}
