import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { startHttpServer } from '../support.ts';
import { freePort, ROOT, run } from './processes.ts';

const SERVICES = ['crm-api', 'inventory-api', 'integration-service'];

/** Runs `npm start` on free ports, but without npm, which would hide the exit code after a signal. */
async function start(env: NodeJS.ProcessEnv = {}) {
  const ports = {
    CRM_API_PORT: await freePort(),
    INVENTORY_API_PORT: await freePort(),
    INTEGRATION_SERVICE_PORT: await freePort(),
  };
  const all = run(process.execPath, ['start.ts'], {
    ...ports,
    POLLING_INTERVAL_SECONDS: '0.05',
    ...env,
  });
  return { ...all, ports };
}

async function createCustomer(ports: { CRM_API_PORT: string }, name: string): Promise<void> {
  await fetch(`http://127.0.0.1:${ports.CRM_API_PORT}/customers`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, email: `${randomUUID()}@example.com` }),
  });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('npm start', () => {
  it('runs all three, each line of their logs after the name of its service, whatever a name holds', async () => {
    const { ports, until, stop, lines } = await start({ LOG_FORMAT: 'pretty' });
    await until(/No new customers found/);
    await createCustomer(ports, 'Jane\nDoe');
    await createCustomer(ports, 'a\u2028crm-api | b\u2029c');
    await until(/^integration-service \| .*Successfully created package request/, 2);
    expect(await stop('SIGTERM')).toBe(0);
    for (const line of lines)
      expect(line).toMatch(/^(crm-api|inventory-api|integration-service) +\| ./);
    expect(lines.filter((line) => line.includes('Found new customer: a'))).toEqual([
      expect.stringContaining('a\\u2028crm-api | b\\u2029c (ID: '),
    ]);
    for (const service of SERVICES) {
      expect(lines.filter((line) => line.startsWith(service)).join()).toContain('Stopped.');
    }
    expect(lines.filter((line) => line.includes('Failed'))).toEqual([]);
  });

  it('into a pipe, is nothing but JSON lines, each with the name of its service', async () => {
    const {
      ports,
      until,
      stop,
      lines,
      process: runner,
    } = await start({
      LOG_FORMAT: '',
      // Each of the three services writes a text that no logger wrote, and a warning of Node.
      NODE_OPTIONS: `--import=data:text/javascript,if(process.send){console.log('\\x1b[31mnews');process.emitWarning('odd')}`,
      LOG_LEVLE: 'debug',
      ADMIN_TOKN: 'canary',
    });
    await until(/No new customers found/);
    await createCustomer(ports, 'Jane\u2028{"name":"Doe"}');
    const [line] = await until(/.*Successfully created package request.*/);
    expect(JSON.parse(line)).toMatchObject({ name: 'integration-service', level: 30 });
    const [, pid] = await until(/"pid":(\d+).*"name":"crm-api"/);
    process.kill(Number(pid), 'SIGKILL');
    await until(/Ended by itself/);
    await stop();
    expect(runner.exitCode).toBe(1);
    const records = lines.map((text) => JSON.parse(text));
    for (const { name, time, level, msg } of records) {
      expect(SERVICES).toContain(name);
      expect([new Date(time).toISOString(), typeof level, typeof msg]).toEqual([
        time,
        'number',
        'string',
      ]);
    }
    const said = (text: string) => records.filter(({ msg }) => msg.includes(text));
    expect(said('\u001b[31mnews')).toHaveLength(3);
    expect(said(') Warning: odd').map(({ level }) => level)).toEqual([50, 50, 50]);
    expect(said('Ended by itself (SIGKILL)')).toMatchObject([{ name: 'crm-api', level: 50 }]);
    expect(said('did you mean')).toMatchObject([
      { name: 'crm-api', level: 40, msg: 'LOG_LEVLE is not known: did you mean LOG_LEVEL?' },
      { msg: 'ADMIN_TOKN is not known: did you mean ADMIN_TOKEN?' },
    ]);
    expect(lines.join()).not.toContain('canary');
  });

  it.each(['SIGINT', 'SIGHUP'] as const)('ends with 0 on %s', async (signal) => {
    const { until, stop } = await start();
    await until(/Integration service started/);
    expect(await stop(signal)).toBe(0);
  });

  it('is stopped while it starts', async () => {
    const { until, stop, lines } = await start();
    await until(/"name":"crm-api".*Listening/);
    await stop();
    expect(lines.join('\n')).not.toContain('Ended by itself');
  });

  it('stops the others and does not end with 0 when one ends by itself', async () => {
    const { until, ended, lines } = await start();
    await until(/No new customers found/);
    const [, pid] = await until(/"pid":(\d+).*"name":"inventory-api"/);
    process.kill(Number(pid), 'SIGTERM');
    expect(await ended).toBe(1);
    expect(lines.join('\n')).toContain(
      '"name":"inventory-api","msg":"Ended by itself (exit code 0). Stopping the others."',
    );
    expect(lines.filter((line) => line.includes('Stopped.'))).toHaveLength(3);
  });

  it('does not end with 0 when a port is in use', async () => {
    const { port } = new URL(await startHttpServer(() => {}));
    const { ended, lines } = await start({ INTEGRATION_SERVICE_PORT: port });
    expect(await ended).toBe(1);
    expect(lines.join('\n')).toContain('the port is in use');
  });

  it('says what is wrong with the environment of all three, and starts none', async () => {
    const { ended, lines } = await start({
      CRM_API_PORT: 'x',
      INVENTORY_API_PORT: '-1',
      POLLING_INTERVAL_SECONDS: '-1',
    });
    expect(await ended).toBe(78);
    expect(lines).toEqual([
      'crm-api: CRM_API_PORT must be a whole number from 0 to 65535, but is "x"',
      'inventory-api: INVENTORY_API_PORT must be a whole number from 0 to 65535, but is "-1"',
      'integration-service: CRM_API_PORT must be a whole number from 0 to 65535, but is "x"',
      'integration-service: INVENTORY_API_PORT must be a whole number from 0 to 65535, but is "-1"',
      'integration-service: POLLING_INTERVAL_SECONDS must be a number of seconds above 0 and at most 2147483, but is "-1"',
    ]);
  });

  it.each(['SIGKILL', 'closed output'])('leaves no service behind after %s', async (end) => {
    // A process notices a closed output only when it writes: at debug level, an idle service writes.
    const { until, lines, process: runner } = await start({ LOG_LEVEL: 'debug' });
    await until(/No new customers found/);
    const pids = new Set(lines.map((line) => Number(/"pid":(\d+)/.exec(line)?.[1])));
    expect(pids.size).toBe(3);
    if (end === 'SIGKILL') runner.kill('SIGKILL');
    else runner.stdout?.destroy();
    for (const pid of pids) await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it('is what the script of package.json runs', async () => {
    const { default: manifest } = await import(`${ROOT}package.json`, { with: { type: 'json' } });
    expect(manifest.scripts.start).toBe('exec node --import service-kit/dot-env start.ts');
  });
});
