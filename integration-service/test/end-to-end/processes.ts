import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { EventEmitter, on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { freePort as findFreePort } from '../../prove/free-port.ts';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface RunningProcess {
  process: ChildProcess;
  /** All output so far, line by line. */
  lines: string[];
  /** Resolves with the match when `count` lines match the pattern; rejects if the process ends first. */
  until(pattern: RegExp, count?: number): Promise<RegExpExecArray>;
  /** Resolves with the exit code, or the signal that ended the process, after its output is closed. */
  ended: Promise<number | NodeJS.Signals | null>;
  /** Sends a signal and resolves when the process has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

/** Every variable as an empty string, which counts as unset and hides the values of a user's `.env`. */
export const UNSET = Object.fromEntries(
  [...readFileSync(`${ROOT}.env.example`, 'utf8').matchAll(/^# ([A-Z_]+)=/gm)].flatMap(
    ([, name]) => [
      [name, ''],
      [`${name}_FILE`, ''],
    ],
  ),
);

/** Starts a program in the project's folder; kills it when the test ends. */
export function run(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
  cwd = ROOT,
  options: Pick<SpawnOptions, 'uid' | 'gid'> = {},
): RunningProcess {
  const child = spawn(command, args, {
    cwd,
    env: {
      ...UNSET,
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      // Starting is most of the cost of such a test, and half of it is compiling.
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      LOG_FORMAT: 'json',
      LEDGER_URL: 'sqlite::memory:',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const lines: string[] = [];
  const events = new EventEmitter().setMaxListeners(0);
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      const complete = (rest + chunk).split('\n');
      rest = complete.pop() ?? '';
      lines.push(...complete);
      events.emit('line');
    });
  }
  const ended = once(child, 'close').then(([code, signal]) => {
    events.emit('line');
    return code ?? signal;
  });
  return {
    process: child,
    lines,
    ended,
    async until(pattern, count = 1) {
      const changes = on(events, 'line');
      let found = 0;
      for (let next = 0; ; ) {
        for (; next < lines.length; next++) {
          const match = pattern.exec(lines[next] as string);
          if (match) found += 1;
          if (match && found === count) return match;
        }
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`Ended before ${pattern} came:\n${lines.join('\n')}`);
        }
        await changes.next();
      }
    },
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return ended;
    },
  };
}

const { scripts } = JSON.parse(readFileSync(`${ROOT}integration-service/package.json`, 'utf8'));

/** Starts what `npm run <name> -- <args>` starts, without npm, which takes longer than most scripts. */
export function runScript(name: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  const [, , ...nodeArgs] = scripts[name].split(' ');
  return run(process.execPath, [...nodeArgs, ...args], env, `${ROOT}integration-service`);
}

export type ServiceName = 'crm-api' | 'inventory-api' | 'integration-service';

/** Starts one service, on a free port unless `env` names one, and waits until it listens. */
export async function startService(name: ServiceName, env: NodeJS.ProcessEnv = {}) {
  const portVariable = `${name.toUpperCase().replace('-', '_')}_PORT`;
  const service = run(
    process.execPath,
    ['src/main.ts'],
    { [portVariable]: '0', ...env },
    `${ROOT}${name}`,
  );
  const [, url] = await service.until(/Listening on (http:[^,]+),/);
  return { ...service, url: url as string, port: new URL(url as string).port };
}

/** A port that was free a moment ago, as text for an environment. */
export const freePort = async () => String(await findFreePort());
