import { spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Linux counts CPU time of processes in ticks of 10 ms. */
const MS_PER_TICK = 10;

export interface RunningServer extends AsyncDisposable {
  port: number;
  url: string;
  /** CPU time of the process so far, in milliseconds. */
  cpuMs(): number;
  /** Peak memory, in bytes. */
  peakBytes(): number;
  /** One value from `/metrics`. */
  metric(line: string): Promise<number>;
  /** Resolves when the server has written a log line with this text. */
  until(text: string): Promise<void>;
}

export type Service = 'crm-api' | 'inventory-api' | 'integration-service';

/**
 * Starts one of the three services as `npm start` does, on a free port, with JSON logs that are discarded
 * unless a caller waits for a line.
 */
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

  // Output that no caller waits for is discarded: parsing it would slow down the measurement.
  async function untilMatch(pattern: RegExp): Promise<RegExpExecArray> {
    let text = '';
    for await (const [chunk] of on(child.stdout, 'data', { close: ['end'] })) {
      text += chunk;
      const match = pattern.exec(text);
      if (match) return match;
    }
    throw new Error(`${args[0]} in ${cwd} ended before it wrote ${pattern}`);
  }

  const [, url] = await untilMatch(/(http:\/\/127\.0\.0\.1:\d+)\D/);
  const proc = (file: string) => readFileSync(`/proc/${child.pid}/${file}`, 'utf8');
  return {
    url: url as string,
    port: Number(new URL(url as string).port),
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
    async until(text) {
      await untilMatch(new RegExp(RegExp.escape(text)));
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', killAtExit);
      child.kill('SIGTERM');
      await ended;
    },
  };
}
