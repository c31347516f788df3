import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Linux counts CPU time of processes in ticks of 10 ms. */
const MS_PER_TICK = 10;
/** What `/readyz` answers when nothing is degraded. */
const READY = '{"status":"ok"}';
const READY_WITHIN_MS = 60_000;

export interface RunningServer extends AsyncDisposable {
  port: number;
  url: string;
  /** CPU time of the process so far, in milliseconds. */
  cpuMs(): number;
  /** Peak memory, in bytes. */
  peakBytes(): number;
  /** One value from `/metrics`. */
  metric(line: string): Promise<number>;
  /** Resolves when a service is ready and nothing is degraded. */
  untilReady(): Promise<void>;
}

export type Service = 'crm-api' | 'inventory-api' | 'integration-service';

/** Starts one of the three services as `npm start` does, on a free port, with JSON logs that are discarded. */
export function startService(name: Service, env: NodeJS.ProcessEnv = {}): Promise<RunningServer> {
  const port = `${name.toUpperCase().replace('-', '_')}_PORT`;
  const { scripts } = JSON.parse(readFileSync(`${ROOT}${name}/package.json`, 'utf8'));
  const options = scripts.start.match(/--max-\S+/g) ?? [];
  return start([...options, 'src/main.ts'], `${ROOT}${name}`, {
    [port]: '0',
    LOG_FORMAT: 'json',
    ...env,
  });
}

/** Starts a script of this folder that prints its URL. */
export function startScript(name: string, ...args: string[]): Promise<RunningServer> {
  return start([name, ...args], fileURLToPath(new URL('.', import.meta.url)), {});
}

async function start(args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<RunningServer> {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, args, {
    cwd,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const ended = once(child, 'close');
  child.stdout.setEncoding('utf8').resume();
  let output = '';
  let url: string | undefined;
  for await (const [chunk] of on(child.stdout, 'data', { close: ['end'] })) {
    output += chunk;
    url = /(http:\/\/127\.0\.0\.1:\d+)\D/.exec(output)?.[1];
    // Later output is discarded: parsing it would slow down the measurement.
    if (url) break;
  }
  if (!url) throw new Error(`${args[0]} in ${cwd} ended before it listened`);
  const proc = (file: string) => readFileSync(`/proc/${child.pid}/${file}`, 'utf8');
  return {
    url,
    port: Number(new URL(url).port),
    cpuMs() {
      // Fields after the name, which may contain blanks: state is the first, user time the twelfth.
      const [user, system] = proc('stat').split(') ')[1]?.split(' ').slice(11, 13) ?? [];
      return (Number(user) + Number(system)) * MS_PER_TICK;
    },
    peakBytes: () => Number(/VmHWM:\s+(\d+)/.exec(proc('status'))?.[1]) * 1024,
    async metric(line) {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^${RegExp.escape(line)} (.*)$`, 'm').exec(metrics)?.[1]);
    },
    async untilReady() {
      const signal = AbortSignal.timeout(READY_WITHIN_MS);
      const read = async () => (await fetch(`${url}/readyz`, { signal })).text();
      while ((await read()) !== READY) await sleep(1);
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', killAtExit);
      child.kill('SIGTERM');
      await ended;
    },
  };
}
