/**
 * Runs the three services as one program and merges their logs: on a terminal, each line is prefixed with
 * the name of its service; otherwise the output is only JSON lines for the next program, each with that
 * name as a field. A signal stops all services. If one ends by itself, the others are stopped and the exit
 * code is 1. If one of them cannot use its environment, that is reported before any service starts, with
 * exit code 78.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { escapeControls } from 'service-kit/escape-controls';
import { isoNow } from 'service-kit/iso-time';

const APIS = ['crm-api', 'inventory-api'];
const INTEGRATION_SERVICE = 'integration-service';

const LOG_FORMAT = process.env.LOG_FORMAT?.trim() || (process.stdout.isTTY ? 'pretty' : 'json');

/** Pino's levels, for lines that no logger has written. */
const LEVELS = { stdout: 30, warning: 40, stderr: 50 };

/** The same options as in the start script of the service's package. */
const NODE_OPTIONS: Record<string, string[]> = {
  [INTEGRATION_SERVICE]: ['--max-semi-space-size=4', '--max-old-space-size=256'],
};

/** More than the 7 s in which a service drains or ends itself. */
const KILL_AFTER_MS = 9_000;

const children: ChildProcess[] = [];
let stopping = false;

function start(service: string): ChildProcess {
  const child = spawn(process.execPath, [...(NODE_OPTIONS[service] ?? []), 'src/main.ts'], {
    cwd: new URL(service, import.meta.url),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, LOG_FORMAT },
  });
  if (child.stdout) printLines(service, child.stdout, LEVELS.stdout);
  if (child.stderr) printLines(service, child.stderr, LEVELS.stderr);
  child.once('exit', (code, signal) => {
    // A child that got the signal before it could handle it had nothing to drain.
    if (code !== 0 && (!stopping || code !== null || signal === 'SIGKILL')) process.exitCode = 1;
    if (stopping) return;
    process.exitCode = 1;
    const how = signal ?? `exit code ${code}`;
    print(service, `Ended by itself (${how}). Stopping the others.`, LEVELS.stderr);
    stop('SIGTERM');
  });
  children.push(child);
  return child;
}

function stop(signal: NodeJS.Signals): void {
  stopping = true;
  if (children.length === 0) process.exit();
  for (const child of children) child.kill(signal);
  setTimeout(() => {
    for (const child of children) child.kill('SIGKILL');
  }, KILL_AFTER_MS).unref();
}

/**
 * Splits lines without node:readline, which treats U+2028, allowed in a customer's name, as a line end.
 */
function printLines(service: string, stream: Readable, level: number): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) print(service, line, level);
  });
  stream.on('end', () => {
    if (rest) print(service, rest, level);
  });
}

function print(service: string, line: string, level: number): void {
  if (LOG_FORMAT === 'pretty') {
    process.stdout.write(`${service.padEnd(INTEGRATION_SERVICE.length)} | ${line}\n`);
  } else if (isLogLine(line)) {
    process.stdout.write(`${line}\n`);
  } else if (line.trim()) {
    const msg = JSON.stringify({ level, time: isoNow(), name: service, msg: line });
    process.stdout.write(`${escapeControls(msg)}\n`);
  }
}

/**
 * Whether a line comes from a logger. Stack traces, Node's warnings and the cut-off last line of a killed
 * process do not.
 */
function isLogLine(line: string): boolean {
  try {
    return typeof JSON.parse(line)?.name === 'string';
  } catch {
    return false;
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);

// Imported late: loading them takes most of the time before the first service is started.
const { EXIT_CONFIG, environmentProblems } = await import('service-kit/run');
const configs = Object.entries({
  'crm-api': await import('./crm-api/src/config.ts'),
  'inventory-api': await import('./inventory-api/src/config.ts'),
  [INTEGRATION_SERVICE]: await import('./integration-service/src/config.ts'),
});
const problems = configs.flatMap(([service, { parseConfig }]) =>
  environmentProblems(service, () => parseConfig(process.env)),
);
if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n`);
  process.exit(EXIT_CONFIG);
}
for (const [service, { parseConfig }] of configs) {
  for (const misspelt of parseConfig(process.env).misspelt) {
    print(service, misspelt.warning, LEVELS.warning);
    // Otherwise each service that inherits the variable would warn of it again.
    delete process.env[misspelt.name];
  }
}

// The reader of the logs is gone, as after `npm start | head`.
process.stdout.on('error', () => stop('SIGTERM'));

// Start the poller last, so that its first poll finds the CRM listening. Do not wait for an API that was
// stopped early: a wait that never ends would keep Node from exiting cleanly.
await Promise.all(
  APIS.map((service) => {
    const child = start(service);
    return Promise.race([once(child, 'message'), once(child, 'exit')]);
  }),
);
if (!stopping) start(INTEGRATION_SERVICE);
