import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ROOT, run, type ServiceName, startService } from './processes.ts';

/**
 * An address at which nothing listens: a test must not reach a system that happens to run on this machine.
 */
const NOBODY = 'http://127.0.0.1:1/';

const services: ServiceName[] = ['crm-api', 'inventory-api', 'integration-service'];
const prefix = (service: ServiceName) => service.toUpperCase().replace('-', '_');
const start = (service: ServiceName, env: NodeJS.ProcessEnv) =>
  run(process.execPath, ['src/main.ts'], env, `${ROOT}${service}`);

describe.each(services)('%s, started alone', (name) => {
  it('drains and ends with 0 on SIGTERM, also with clients connected', async () => {
    const { url, port, stop, lines } = await startService(name, { CRM_API_URL: NOBODY });
    const agent = new Agent({ keepAlive: true });
    const [response] = await once(get(`${url}/healthz`, { agent }), 'response');
    response.resume();
    await once(response, 'end');
    const silent = connect(Number(port), '127.0.0.1');
    await once(silent, 'connect');
    onTestFinished(() => {
      agent.destroy();
      silent.destroy();
    });
    expect(await stop()).toBe(0);
    expect(lines.join('\n')).toContain('Stopping: SIGTERM.');
    expect(lines.at(-1)).toContain('Stopped.');
  });

  it('ends with 0 when signals come many times and of different kinds', async () => {
    const { process, ended, lines } = await startService(name, { CRM_API_URL: NOBODY });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
      process.kill(signal);
    }
    expect(await ended).toBe(0);
    expect(lines.filter((line) => line.includes('Stopping'))).toHaveLength(1);
  });

  it('starts by npm, and ends with it', async () => {
    const service = run('npm', ['start', '-w', name], {
      [`${prefix(name)}_PORT`]: '0',
      CRM_API_URL: NOBODY,
      INVENTORY_API_URL: NOBODY,
    });
    const [, url] = await service.until(/Listening on (http:[^,]+),/);
    expect(await service.stop()).toBe(0);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
    expect(service.lines.join('\n')).toContain('Stopped.');
  });

  it('says in one line that its port is in use, and does not end with 0', async () => {
    const holder = await startService('crm-api');
    const service = start(name, { [`${prefix(name)}_PORT`]: holder.port });
    expect(await service.ended).toBe(1);
    expect(service.lines).toHaveLength(1);
    expect(service.lines[0]).toContain(
      `Cannot listen on 127.0.0.1:${holder.port}: the port is in use. Stop the program that holds it, or set ${prefix(name)}_PORT.`,
    );
  });

  it('says what is wrong with its environment, one line each, and starts nothing', async () => {
    const service = start(name, { [`${prefix(name)}_PORT`]: 'x', LOG_LEVEL: 'loud' });
    expect(await service.ended).toBe(78);
    expect(service.lines).toEqual([
      `${name}: ${prefix(name)}_PORT must be a whole number from 0 to 65535, but is "x"`,
      `${name}: LOG_LEVEL must be trace, debug, info, warn, error, fatal or silent, but is "loud"`,
    ]);
  });

  it('says so also when its log is silent', async () => {
    const service = start(name, {
      [`${prefix(name)}_HOST`]: 'nowhere.invalid',
      LOG_LEVEL: 'silent',
    });
    expect(await service.ended).toBe(1);
    expect(service.lines).toEqual([
      expect.stringMatching(
        /^Cannot listen on nowhere\.invalid:\d+: the host name is not known\.$/,
      ),
    ]);
  });

  it('ends when nobody reads its log any more', async () => {
    const service = await startService(name, { CRM_API_URL: NOBODY, RETRY_DELAY_SECONDS: '0.01' });
    service.process.stdout?.destroy();
    await fetch(`${service.url}/healthz`);
    service.process.kill('SIGTERM');
    expect(await service.ended).toBe(0);
  });

  it('says in one line that it cannot listen on a host', async () => {
    const service = start(name, { [`${prefix(name)}_HOST`]: 'nowhere.invalid' });
    expect(await service.ended).toBe(1);
    expect(service.lines).toHaveLength(1);
    expect(service.lines[0]).toContain('the host name is not known.');
  });
});

it('integration-service stops in time while the CRM does not answer', async () => {
  const { createServer } = await import('node:net');
  const silent = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => {
    silent.close();
  });
  await once(silent, 'listening');
  const address = silent.address();
  const asked = once(silent, 'connection');
  const service = await startService('integration-service', {
    CRM_API_URL: `http://127.0.0.1:${typeof address === 'object' && address?.port}/customers`,
    REQUEST_TIMEOUT_SECONDS: '3600',
  });
  const [socket] = await asked;
  expect(await service.stop()).toBe(0);
  socket.destroy();
});
