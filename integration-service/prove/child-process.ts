import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Kill } from './kill-point.ts';

/** A kill that the service carries out on itself. */
export interface Crash extends Kill {
  /** A file that only the first process to reach the step can create: only that process dies. */
  ticket: string;
}

export interface ChildOptions {
  /** The program to run. Default: integration-service. */
  program?: string;
  env: Record<string, string>;
  crash?: Crash | undefined;
  /** The file that its log is written to. */
  logFile: string;
}

/** A service in a process of its own. Times are by `performance.now()`. */
export interface Child {
  spawnedAt: number;
  logFile: string;
  /** Resolves with the service's URL, or with `undefined` if it ended before it listened. */
  listening: Promise<string | undefined>;
  /** `undefined` before it listens. */
  url: string | undefined;
  ended: Promise<End>;
  /** `undefined` while it runs. */
  end: End | undefined;
  /** Resolves when it has ended. Default: SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<End>;
}

/** How a process ended. */
export interface End {
  at: number;
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Starting is most of the cost of a proof, and half of it is compiling. */
const COMPILED =
  process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), 'mini-integration-platform-compiled');
const SERVICE = fileURLToPath(new URL('child.ts', import.meta.url));

/** Starts a service that inherits nothing of this process's environment but `PATH`. */
export function startChild({ program = SERVICE, env, crash, logFile }: ChildOptions): Child {
  const log = openSync(logFile, 'a');
  const spawnedAt = performance.now();
  const started = spawn(process.execPath, [program, ...(crash ? [JSON.stringify(crash)] : [])], {
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILED, ...env },
    stdio: ['ignore', log, log, 'ipc'],
    // A Ctrl-C at the terminal must reach only the prover, not the services under test.
    detached: true,
  });
  closeSync(log);
  const ended = once(started, 'exit').then(([code, signal]): End => {
    child.end = { at: performance.now(), code, signal };
    return child.end;
  });
  const ready = once(started, 'message').then(() => {
    // The log is written before the message is sent.
    child.url = /Listening on (http:[^,]+),/.exec(readFileSync(logFile, 'utf8'))?.[1];
    return child.url;
  });
  const listening = Promise.race([ready, ended.then(() => undefined)]);
  const child: Child = {
    ...{ spawnedAt, logFile, listening, url: undefined, ended, end: undefined },
    kill(signal = 'SIGKILL') {
      started.kill(signal);
      return ended;
    },
  };
  return child;
}
