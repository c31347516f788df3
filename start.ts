/**
 * Runs the three services as one program: their logs together, each line after its service's name.
 * A signal stops all of them; when one ends by itself, the others are stopped and the exit code is 1.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const APIS = ['crm-api', 'inventory-api'];
const INTEGRATION_SERVICE = 'integration-service';

/** After the 7 s in which a service drains or ends itself. */
const KILL_AFTER_MS = 9_000;

const children: ChildProcess[] = [];
let stopping = false;

function start(service: string): ChildProcess {
  const child = spawn(process.execPath, ['src/main.ts'], {
    cwd: new URL(service, import.meta.url),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, LOG_FORMAT: process.env.LOG_FORMAT || logFormat() },
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (stream) createInterface(stream).on('line', (line) => print(service, line));
  }
  child.once('exit', (code, signal) => {
    if (code !== 0) process.exitCode = 1;
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

function print(service: string, line: string): void {
  process.stdout.write(`${service.padEnd(INTEGRATION_SERVICE.length)} | ${line}\n`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);

// The poller last: its first poll finds the CRM listening.
await Promise.all(APIS.map((service) => once(start(service), 'message')));
if (!stopping) start(INTEGRATION_SERVICE);
