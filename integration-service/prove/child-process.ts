import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Kill, ServiceStep } from './kill-point.ts';

/** A kill that the service carries out on itself. */
export interface Crash extends Kill<ServiceStep> {
  /** A file that only the first process to reach the step can create: only that process dies. */
  ticket: string;
}

export interface ChildOptions {
  /** The program to run. Default: integration-service. */
  program?: string | undefined;
  env: Record<string, string>;
  crash?: Crash | undefined;
  /** The file that its log is written to. */
  logFile: string;
}

/** A running service. */
export interface Child {
  /** By `performance.now()`. */
  spawnedAt: number;
  logFile: string;
  /** Resolves with the service's URL, or with `undefined` if it ended before it listened. */
  listening: Promise<string | undefined>;
  /** The URL while the service listens; `undefined` before that and after its end. */
  url(): string | undefined;
  /** Resolves when the process has ended; never rejects. */
  ended: Promise<End>;
  /** How the process ended; `undefined` while it runs. */
  end(): End | undefined;
  kill(signal?: NodeJS.Signals): void;
}

export interface End {
  /** By `performance.now()`. */
  at: number;
  code: number | null;
  signal: NodeJS.Signals | null;
}

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url));

/** Starts a service that inherits nothing of this process's environment but `PATH`. */
export function startChild({ program = CHILD, env, crash, logFile }: ChildOptions): Child {
  const log = openSync(logFile, 'a');
  const spawnedAt = performance.now();
  const child = spawn(process.execPath, [program, ...(crash ? [JSON.stringify(crash)] : [])], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', log, log, 'ipc'],
    // A Ctrl-C at the terminal must reach only the prover, not the services under test.
    detached: true,
  });
  closeSync(log);

  let end: End | undefined;
  let url: string | undefined;
  const ended = new Promise<End>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      end = { at: performance.now(), code, signal };
      resolve(end);
    });
  });
  const listening = new Promise<string | undefined>((resolve) => {
    child.once('message', () => {
      url = readUrl(logFile);
      resolve(url);
    });
    ended.then(
      () => resolve(undefined),
      () => resolve(undefined),
    );
  });
  return {
    spawnedAt,
    logFile,
    listening,
    url: () => (end ? undefined : url),
    ended,
    end: () => end,
    kill: (signal = 'SIGKILL') => child.kill(signal),
  };
}

/** The log is written before the message is sent. */
function readUrl(logFile: string): string | undefined {
  return /Listening on (http:[^,]+),/.exec(readFileSync(logFile, 'utf8'))?.[1];
}

/** Whether the child ends within `ms`. */
export async function endsWithin(child: Child, ms: number, signal: AbortSignal): Promise<boolean> {
  const waiting = new AbortController();
  const timeout = sleep(ms, false, { signal: AbortSignal.any([waiting.signal, signal]) });
  try {
    return await Promise.race([child.ended.then(() => true), timeout]);
  } finally {
    waiting.abort();
    timeout.catch(() => {});
  }
}
