import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

// A process starts slowly where many others run.
vi.setConfig({ testTimeout: 60_000 });

const from = (module: string) =>
  JSON.stringify(new URL(`../src/${module}.ts`, import.meta.url).href);

/** A process that serves on a free port; this code is its `stop` and what it runs once it listens. */
function startService({ stop = '', then = '' }: { stop?: string; then?: string }): ChildProcess {
  const script = `
    import { createHttpService } from ${from('http-service')};
    import { createLogger } from ${from('logger')};
    import { serve } from ${from('run')};
    const log = createLogger({ name: 'test', level: 'info' });
    const app = await createHttpService({ title: 'Test', description: 'A test.', log });
    const stop = async () => { ${stop} };
    await serve({ app, log, host: '127.0.0.1', port: 0, portVariable: 'PORT', stop });
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

async function outcome(child: ChildProcess) {
  const output = child.stdout ? text(child.stdout) : '';
  const [code] = await once(child, 'exit');
  return { code, output: await output };
}

describe('a service', () => {
  it('waits for what it has to stop before it ends', async () => {
    const child = startService({
      stop: `await new Promise((resolve) => setTimeout(resolve, 50)); log.info('Part stopped.');`,
    });
    await once(child, 'message');
    const ended = outcome(child);
    child.kill('SIGTERM');
    const { code, output } = await ended;
    expect(code).toBe(0);
    expect(output).toMatch(/Stopping: SIGTERM\.[\s\S]*Part stopped\.[\s\S]*Stopped\./);
  });

  it('ends with 1 after 7 s when something does not stop', async () => {
    const child = startService({ stop: 'await new Promise(() => {});' });
    await once(child, 'message');
    const ended = outcome(child);
    child.kill('SIGTERM');
    const { code, output } = await ended;
    expect(code).toBe(1);
    expect(output).toContain('Did not drain in time.');
  });

  it.each([
    ['an error', `setTimeout(() => { throw new Error('the cause'); }, 1);`],
    ['a rejection', `Promise.reject(new Error('the cause'));`],
  ])('logs %s that nothing caught, and ends with 1', async (_, then) => {
    const { code, output } = await outcome(startService({ then }));
    expect(code).toBe(1);
    expect(output).toContain('"level":60');
    expect(output).toContain('the cause');
  });

  it('drains when its parent is gone', async () => {
    const child = startService({});
    await once(child, 'message');
    const ended = outcome(child);
    child.disconnect();
    const { code, output } = await ended;
    expect(code).toBe(0);
    expect(output).toContain('Stopping: the parent process is gone.');
  });
});
