import { lookup } from 'node:dns/promises';
import type { AddressInfo } from 'node:net';
import { EnvironmentError } from './environment.ts';
import type { HttpService } from './http-service.ts';
import type { Logger } from './logger.ts';
import { onStopSignal } from './stop-signals.ts';

/** The exit code for an unusable configuration (`EX_CONFIG` of BSD's sysexits). */
export const EXIT_CONFIG = 78;

/** Docker kills a container 10 s after SIGTERM: the process ends before that. */
const DRAIN_DEADLINE_MS = 7_000;

/** Parses the environment. On failure, prints one line per problem and exits with 78. */
export function parseOrExit<Config>(service: string, parse: () => Config): Config {
  const problems = environmentProblems(service, parse);
  if (problems.length === 0) return parse();
  process.stderr.write(`${problems.join('\n')}\n`);
  process.exit(EXIT_CONFIG);
}

/** One line per variable that the service cannot use; empty if the service can start. */
export function environmentProblems(service: string, parse: () => unknown): string[] {
  try {
    parse();
    return [];
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    return error.problems.map((problem) => `${service}: ${problem}`);
  }
}

export interface ServeOptions {
  app: HttpService;
  log: Logger;
  host: string;
  port: number;
  /** The environment variable that sets the port, for the message if the port is in use. */
  portVariable: string;
  /** Stops the service's other work while the requests drain. */
  stop?: (() => Promise<void>) | undefined;
}

/**
 * Listens until the first SIGTERM, SIGINT or SIGHUP, then drains and exits with 0; further signals are
 * ignored. Exits with 1 if it cannot listen, does not drain within 7 s, or meets an uncaught error. Sends
 * `listening` to a parent process with an IPC channel once it listens, and drains when that parent is
 * gone.
 */
export async function serve(options: ServeOptions): Promise<void> {
  const { app, log, host, port, stop } = options;
  let draining = false;
  const drain = async (reason: string) => {
    if (draining) return;
    draining = true;
    log.info(`Stopping: ${reason}.`);
    setTimeout(() => exit('Did not drain in time.'), DRAIN_DEADLINE_MS).unref();
    await Promise.all([stop?.(), app.close()]);
    log.info('Stopped.');
    process.exit(0);
  };
  const exit = (message: string, err?: unknown) => {
    log.fatal({ err }, message);
    if (log.level === 'silent') process.stderr.write(`${message}\n`);
    process.exit(1);
  };
  process.on('uncaughtException', (error) => exit('Unexpected error.', error));
  onStopSignal(drain);

  try {
    // Fastify would bind each address of a name to its own server, which draining would not see.
    const { address } = await lookup(host, { order: 'ipv4first' });
    await listenQuietly(app, address, port);
    const { port: listening } = app.server.address() as AddressInfo;
    const url = `http://${address.includes(':') ? `[${address}]` : address}:${listening}`;
    log.info(`Listening on ${url}, documentation under /docs.`);
    // After the line above is written.
    setImmediate(() => process.send?.('listening'));
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const reason = LISTEN_ERRORS[code]?.(options.portVariable) ?? message;
    exit(`Cannot listen on ${host}:${port}: ${reason}.`);
  }
}

/** Fastify logs one line per address of the machine; in a container, a user can open none of them. */
async function listenQuietly(app: HttpService, host: string, port: number): Promise<void> {
  const { level } = app.log;
  app.log.level = 'silent';
  try {
    await app.listen({ host, port });
  } finally {
    app.log.level = level;
  }
}

const UNKNOWN_HOST = () => 'the host name is not known';

/** Why a service cannot listen, and what to do, by the code of the error. */
const LISTEN_ERRORS: Record<string, (portVariable: string) => string> = {
  EADDRINUSE: (variable) =>
    `the port is in use. Stop the program that holds it, or set ${variable}`,
  EACCES: (variable) => `this user may not use the port. Set ${variable} to one above 1023`,
  EADDRNOTAVAIL: () => 'this machine has no such address',
  ENOTFOUND: UNKNOWN_HOST,
  EAI_AGAIN: UNKNOWN_HOST,
};
