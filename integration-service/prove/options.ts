import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type PlanOptions, PROOFS } from './plan.ts';

const SOURCES = PROOFS.flatMap(({ sources }) => sources);
const ALL_SOURCES = [...new Set(SOURCES.map(({ name }) => name))];
const WITH_DOCKER = SOURCES.filter(({ needsDocker }) => needsDocker).map(({ name }) => name);
const DEFAULT_SOURCES = ALL_SOURCES.filter((name) => !WITH_DOCKER.includes(name));

export const HELP = `Usage: npm run prove -- [options]

${PROOFS.map(({ description }) => description).join('\n\n')}
Needs nothing that runs; leaves nothing behind.

  --source <names>   how customers come, some of ${ALL_SOURCES} (default:
                     ${DEFAULT_SOURCES}). For ${WITH_DOCKER}, starts a broker of its own,
                     which needs Docker
  --kills <n>        kills at random times of a service that polls; half as many of one whose API is
                     used (default: 50, with --quick 8)
  --customers <n>    customers of each other source, or some more (default: 200, with --quick 40)
  --disturbances <n> kills, cuts, restarts and restores meanwhile, one of three a kill (default: 24,
                     with --quick 12; fewer for a source whose disturbances take longer)
  --quick            a part of the matrix, for CI
  --only <text>      only cells with this in their name, such as stored/drops/plain or customer-sync/
  --seed <n>         repeats the choices of an earlier run (default: a new one)
  --ledger <url>     postgres://…: a PostgreSQL server on which a database is made for each cell
                     (default: SQLite files in the temporary folder)
  --replicas <n>     processes that share the ledger (default: 1). One killed at a step is not started
                     again: the others take its work over. Needs --ledger
  --help             this text

Exit code: 0 nothing was lost or doubled, 1 something was or a cell did not end well, 2 it could not run.
`;

const DEFAULTS = { kills: 50, customers: 200, disturbances: 24 };
const QUICK_DEFAULTS = { kills: 8, customers: 40, disturbances: 12 };

/** An option is invalid, as the message says. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError';
  readonly code = 'OPTIONS_INVALID';
}

export interface Options extends PlanOptions {
  seed: number;
  /** The URL of a PostgreSQL server. Default: ledgers are SQLite files. */
  ledger: string | undefined;
  replicas: number;
  help: boolean;
}

/** @throws {Error} an `OptionsError`, or what `parseArgs` throws, with a code that begins with `ERR_PARSE_ARGS` */
export function parseOptions(args: string[]): Options {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    args,
    options: {
      source: { ...text, multiple: true, default: DEFAULT_SOURCES },
      ...{ kills: text, customers: text, disturbances: text },
      ...{ quick: flag, only: text, seed: text, ledger: text, replicas: text },
      help: { ...flag, short: 'h' },
    },
  });
  const { quick, only, ledger, help } = values;
  const defaults = {
    ...(quick ? QUICK_DEFAULTS : DEFAULTS),
    seed: randomInt(2 ** 32),
    replicas: 1,
  };
  const numberOf = (name: keyof typeof defaults, min: number, max: number) => {
    const given = values[name] ?? String(defaults[name]);
    const isInRange = Number(given) >= min && Number(given) <= max;
    check(/^\d+$/.test(given) && isInRange, name, `must be a whole number from ${min} to ${max}`);
    return Number(given);
  };
  const sources = values.source.flatMap((list) => list.split(','));
  const areKnown = sources.every((name) => ALL_SOURCES.includes(name));
  check(areKnown, 'source', `must be some of ${ALL_SOURCES}`);
  const isPostgres = !ledger || /^postgres(ql)?:$/.test(URL.parse(ledger)?.protocol ?? '');
  check(isPostgres, 'ledger', 'must be postgres://…');
  const replicas = numberOf('replicas', 1, 20);
  check(replicas === 1 || ledger, 'replicas', 'above 1 needs --ledger');
  return {
    ...{ sources, quick, only, ledger, replicas, help },
    kills: numberOf('kills', 0, 1_000_000),
    customers: numberOf('customers', 0, 1_000_000),
    disturbances: numberOf('disturbances', 0, 1_000_000),
    seed: numberOf('seed', 0, 2 ** 32 - 1),
  };
}

function check(isValid: unknown, name: string, rule: string): void {
  if (!isValid) throw new OptionsError(`--${name} ${rule}`);
}
