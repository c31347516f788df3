import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Step } from '../service.ts';
import type { Kill } from './kill-point.ts';

/** A kill that the service does to itself. */
export interface Crash extends Kill<Step> {
  /** A file that only the first process that gets there can make: only that one dies. */
  ticket: string;
}

export interface ChildOptions {
  env: Record<string, string>;
  crash?: Crash | undefined;
  /** The file to which its log goes. */
  logFile: string;
}

/** A running integration-service. */
export interface Child {
  /** By `performance.now()`. */
  spawnedAt: number;
  logFile: string;
  /** Resolves with its URL, or with `undefined` when it ended before it listened. */
  listening: Promise<string | undefined>;
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

/** Starts the service with nothing of this process's environment but its path. */
export function startChild({ env, crash, logFile }: ChildOptions): Child {
  const log = openSync(logFile, 'a');
  const spawnedAt = performance.now();
  const child = spawn(process.execPath, [CHILD, ...(crash ? [JSON.stringify(crash)] : [])], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', log, log, 'ipc'],
    // A Ctrl-C at the terminal is for the prover, not for what it watches.
    detached: true,
  });
  closeSync(log);

  let end: End | undefined;
  const ended = new Promise<End>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      end = { at: performance.now(), code, signal };
      resolve(end);
    });
  });
  const listening = new Promise<string | undefined>((resolve) => {
    child.once('message', () => resolve(readUrl(logFile)));
    ended.then(
      () => resolve(undefined),
      () => resolve(undefined),
    );
  });
  return {
    spawnedAt,
    logFile,
    listening,
    ended,
    end: () => end,
    kill: (signal = 'SIGKILL') => child.kill(signal),
  };
}

/** The log is written before the message is sent. */
function readUrl(logFile: string): string | undefined {
  return /Listening on (http:[^,]+),/.exec(readFileSync(logFile, 'utf8'))?.[1];
}
