import { setImmediate } from 'node:timers/promises';
import { createLogger } from 'service-kit/logger';
import { parseOrExit } from 'service-kit/run';
import { endWithoutReader, printError, printText } from 'service-kit/terminal';
import { type Config, parseConfig } from '../config.ts';
import { CLOCKS } from '../delivery/clocks.ts';
import { createPause } from '../delivery/dispatch/pauses.ts';
import type { Flow } from '../delivery/flow.ts';
import type { Ledger } from '../delivery/ledger/ledger.ts';
import { LedgerError } from '../delivery/ledger/ledger-error.ts';
import { openExistingLedger } from '../delivery/ledger/open-ledger.ts';
import { ReadError } from '../delivery/target.ts';
import { createFlows, FLOW_MIGRATIONS } from '../flows.ts';
import { CallError, createHttpClient } from '../http/client.ts';

export interface CommandParts {
  ledger: Ledger;
  /** The flows that are switched on. */
  flows: Flow[];
  config: Config;
}

/** The exit code of a command that could not do its work, or whose arguments cannot be understood. */
const EXIT_FAILED = 2;

/** Longer than for a poll: a command may take its time, and a list of a million records does. */
const TIMEOUT_MS = 600_000;

/**
 * Runs a program for a person, and exits with the code that it returns. After a failure, prints the reason and
 * exits with code 2.
 *
 * @param usage what `--help` prints
 */
export async function runProgram(usage: string, run: () => Promise<number>): Promise<never> {
  endWithoutReader();
  const isHelp = process.argv.slice(2).some((arg) => arg === '--help' || arg === '-h');
  try {
    if (isHelp) printText(usage);
    const exitCode = isHelp ? 0 : await run();
    // That nobody reads the output shows after the write.
    await setImmediate();
    process.exit(exitCode);
  } catch (error) {
    for (const line of explain(error, usage)) printError(line);
    process.exit(EXIT_FAILED);
  }
}

/**
 * Runs a program on the ledger of the environment, beside a running service or without one.
 *
 * @param parse reads the command line; throws before anything is opened
 */
export async function runCommand<Options>(
  usage: string,
  parse: () => Options,
  run: (parts: CommandParts, options: Options) => Promise<number>,
): Promise<never> {
  return await runProgram(usage, async () => {
    const options = parse();
    const config = parseOrExit('integration-service', () => parseConfig(process.env));
    for (const { warning } of config.misspelt) printError(warning);
    const log = createLogger({ name: 'integration-service', level: 'silent' });
    const http = createHttpClient({ connections: 2, timeoutMs: TIMEOUT_MS });
    const ledger = await openExistingLedger(config.LEDGER_URL, log, {
      flowMigrations: FLOW_MIGRATIONS,
    });
    const flows = await createFlows(config, {
      ...{ http, log, ledger, random: Math.random, ...CLOCKS },
      pauseOf: (system) => createPause({ system, ledger, log, ...CLOCKS }),
    });
    const exitCode = await run({ ledger, flows, config }, options);
    await ledger.close();
    return exitCode;
  });
}

/** The environment variable with the URL of each system. */
const URLS: Record<string, string> = {
  CRM: 'CRM_API_URL or CUSTOMER_SYNC_URL',
  inventory: 'INVENTORY_API_URL',
};

/** What went wrong. Splits only texts of our own into lines: a text from another system stays on one line. */
function explain(error: unknown, usage: string): string[] {
  if (!(error instanceof Error)) return [String(error)];
  if (error instanceof ReadError) {
    const { system, message, isUnauthorized } = error;
    const hint = isUnauthorized ? `. Check the user name and password in ${URLS[system]}.` : '';
    return [`The ${system} gave no usable answer: ${message}${hint}`];
  }
  if (error instanceof LedgerError || error instanceof CallError) return [error.message];
  if (error instanceof UnableError) return error.message.split('\n');
  const isUsage = 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  return isUsage || error instanceof UsageError
    ? [error.message.replaceAll('\n', ' '), '', ...usage.split('\n')]
    : String(error.stack).split('\n');
}

/** A command cannot do what it is for; the message says why, and what to do. */
export class UnableError extends Error {
  override readonly name = 'UnableError';
  readonly code = 'UNABLE';
}

/** Says that a flow is not among those that are on, and which are. */
export function flowIsOff(flow: string, on: readonly Pick<Flow, 'name'>[]): string {
  const names = on.map(({ name }) => name).join(', ');
  return `There is no flow '${flow}'; switched on are: ${names}.`;
}

/** A command was called in a way that it cannot understand. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
}
