/**
 * Runs the three services as one program: their logs together, each line after its service's name.
 * A signal stops all of them; when one ends by itself, the others are stopped and the exit code is 1.
 * An environment that one of them cannot use is reported before any of them starts, with 78.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { EXIT_CONFIG, environmentProblems } from 'service-kit/run';
import { parseConfig as parseCrmConfig } from './crm-api/src/config.ts';
import { parseConfig as parseServiceConfig } from './integration-service/src/config.ts';
import { parseConfig as parseInventoryConfig } from './inventory-api/src/config.ts';

const APIS = ['crm-api', 'inventory-api'];
const INTEGRATION_SERVICE = 'integration-service';

/** As in the start script of its package. */
const NODE_OPTIONS: Record<string, string[]> = {
  [INTEGRATION_SERVICE]: ['--max-semi-space-size=4', '--max-old-space-size=256'],
};

/** After the 7 s in which a service drains or ends itself. */
const KILL_AFTER_MS = 9_000;

const children: ChildProcess[] = [];
let stopping = false;

function start(service: string): ChildProcess {
  const child = spawn(process.execPath, [...(NODE_OPTIONS[service] ?? []), 'src/main.ts'], {
    cwd: new URL(service, import.meta.url),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, LOG_FORMAT: process.env.LOG_FORMAT || logFormat() },
  });
  for (const stream of [child.stdout, child.stderr]) if (stream) printLines(service, stream);
  child.once('exit', (code, signal) => {
    // A child that got the signal before it could handle it has nothing to drain.
    if (code !== 0 && (!stopping || code !== null || signal === 'SIGKILL')) process.exitCode = 1;
    if (stopping) return;
    process.exitCode = 1;
    print(service, `Ended by itself (${signal ?? `exit code ${code}`}). Stopping the others.`);
    stop('SIGTERM');
  });
  children.push(child);
  return child;
}

function stop(signal: NodeJS.Signals): void {
  stopping = true;
  for (const child of children) child.kill(signal);
  setTimeout(() => {
    for (const child of children) child.kill('SIGKILL');
  }, KILL_AFTER_MS).unref();
}

function logFormat(): string {
  return process.stdout.isTTY ? 'pretty' : 'json';
}

/** Not node:readline: it takes U+2028, which a customer's name may hold, for the end of a line. */
function printLines(service: string, stream: Readable): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) print(service, line);
  });
  stream.on('end', () => {
    if (rest) print(service, rest);
  });
}

function print(service: string, line: string): void {
  process.stdout.write(`${service.padEnd(INTEGRATION_SERVICE.length)} | ${line}\n`);
}

const problems = [
  ...environmentProblems('crm-api', () => parseCrmConfig(process.env)),
  ...environmentProblems('inventory-api', () => parseInventoryConfig(process.env)),
  ...environmentProblems(INTEGRATION_SERVICE, () => parseServiceConfig(process.env)),
];
if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n`);
  process.exit(EXIT_CONFIG);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
// Nobody reads the logs any more, as after `npm start | head`.
process.stdout.on('error', () => stop('SIGTERM'));

// The poller last: its first poll finds the CRM listening.
// Or ends before that, stopped early: to wait for more would keep Node from ending well.
await Promise.all(
  APIS.map((service) => {
    const child = start(service);
    return Promise.race([once(child, 'message'), once(child, 'exit')]);
  }),
);
if (!stopping) start(INTEGRATION_SERVICE);
