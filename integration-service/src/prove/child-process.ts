import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Step } from '../service.ts';
import type { Kill } from './kill-point.ts';

/** A kill that the service does to itself. */
export interface Crash extends Kill<Step> {
  /** A file that only the first process that gets there can make: only that one dies. */
  ticket: string;
}

export interface ChildOptions {
  /** What to run. Default: integration-service. */
  program?: string | undefined;
  env: Record<string, string>;
  crash?: Crash | undefined;
  /** The file to which its log goes. */
  logFile: string;
}

/** A running service. */
export interface Child {
  /** By `performance.now()`. */
  spawnedAt: number;
  logFile: string;
  /** Resolves with its URL, or with `undefined` when it ended before it listened. */
  listening: Promise<string | undefined>;
  /** Where it listens; `undefined` while it does not yet, or has ended. */
  url(): string | undefined;
  /** Resolves when it has ended; never rejects. */
  ended: Promise<End>;
  /** How it ended; `undefined` while it runs. */
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

/** Starts a service with nothing of this process's environment but its path. */
export function startChild({ program = CHILD, env, crash, logFile }: ChildOptions): Child {
  const log = openSync(logFile, 'a');
  const spawnedAt = performance.now();
  const child = spawn(process.execPath, [program, ...(crash ? [JSON.stringify(crash)] : [])], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', log, log, 'ipc'],
    // A Ctrl-C at the terminal is for the prover, not for what it watches.
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

/** Whether it ends within so long. */
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
