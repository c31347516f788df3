import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Connection } from 'rabbitmq-client';
import { freePort } from '../free-port.ts';

/** A RabbitMQ in its own container. */
export interface Broker {
  /** On 127.0.0.1; the same after a restart. */
  url: URL;
  /** Kills the broker, starts it again, and resolves when it accepts clients. */
  restart(): Promise<void>;
}

const IMAGE = 'rabbitmq:4-management';
const READY_DEADLINE_MS = 90_000;

const docker = (...args: string[]) => promisify(execFile)('docker', args);

/** Rejects with the reason if Docker cannot be used. */
export async function checkDocker(): Promise<void> {
  await docker('version', '--format', '{{.Server.Version}}');
}

/**
 * Resolves when the broker accepts clients; may have to download the image first.
 *
 * @param cleanUp removes the container and its data
 */
export async function startBroker(
  cleanUp: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Broker> {
  const password = randomBytes(12).toString('hex');
  const name = `prove-${randomBytes(12).toString('hex')}`;
  // Docker would choose another port after each restart.
  const port = await freePort();
  const url = new URL(`amqp://prove:${password}@127.0.0.1:${port}`);
  cleanUp.defer(() => docker('rm', '--force', '--volumes', name).then(() => {}));
  await docker(
    ...['run', '--detach', '--name', name, '--hostname', name],
    ...['--publish', `127.0.0.1:${port}:5672`],
    ...['--env', 'RABBITMQ_DEFAULT_USER=prove', '--env', `RABBITMQ_DEFAULT_PASS=${password}`],
    IMAGE,
  );
  await untilReady(url, signal);
  return {
    url,
    async restart() {
      await docker('kill', name);
      await docker('start', name);
      await untilReady(url, signal);
    },
  };
}

/** Docker accepts connections before the broker does, so wait until the broker answers. */
async function untilReady(url: URL, signal: AbortSignal): Promise<void> {
  const connection = new Connection({ url: url.href, retryLow: 100, retryHigh: 500 });
  connection.on('error', () => {});
  const timeout = sleep(READY_DEADLINE_MS, undefined, { signal, ref: false }).then(() => {
    throw new Error('RabbitMQ in Docker does not get ready');
  });
  await Promise.race([connection.onConnect(0), timeout]).finally(() => connection.close());
}
