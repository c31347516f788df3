import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '../free-port.ts';

/** A RabbitMQ in a container of its own, which goes, with all that it holds, when it is disposed of. */
export interface Broker extends AsyncDisposable {
  /** Of 127.0.0.1; the same after a restart. */
  port: number;
  url: URL;
  /** Kills it, starts it again, and resolves when it talks to clients. */
  restart(): Promise<void>;
}

const IMAGE = 'rabbitmq:4-management';
const READY_DEADLINE_MS = 90_000;

const docker = (...args: string[]) => promisify(execFile)('docker', args);

/** Rejects with what is the matter when no Docker can be had. */
export async function checkDocker(): Promise<void> {
  await docker('version', '--format', '{{.Server.Version}}');
}

/** Resolves when it talks to clients; may have to download the image first. */
export async function startBroker(signal: AbortSignal): Promise<Broker> {
  const name = `prove-${randomUUID()}`;
  const user = 'prove';
  const password = randomBytes(12).toString('hex');
  // Docker would choose another after each restart.
  const port = await freePort();
  const url = new URL(`amqp://${user}:${password}@127.0.0.1:${port}`);

  await using parts = new AsyncDisposableStack();
  parts.defer(() => docker('rm', '--force', '--volumes', name).then(() => {}));
  await docker(
    ...['run', '--detach', '--name', name, '--hostname', name],
    ...['--publish', `127.0.0.1:${port}:5672`],
    ...['--env', `RABBITMQ_DEFAULT_USER=${user}`, '--env', `RABBITMQ_DEFAULT_PASS=${password}`],
    IMAGE,
  );
  await untilReady(port, signal);

  const rest = parts.move();
  return {
    port,
    url,
    async restart() {
      await docker('kill', name);
      await docker('start', name);
      await untilReady(port, signal);
    },
    [Symbol.asyncDispose]: () => rest.disposeAsync(),
  };
}

/** Docker accepts connections before the broker does: only one that talks is ready. */
async function untilReady(port: number, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!(await greets(port))) {
    if (performance.now() > deadline) throw new Error('RabbitMQ in Docker does not get ready');
    await sleep(100, undefined, { signal });
  }
}

/** A broker answers the header of its protocol (AMQP 0-9-1, section 2.2.4), which it does last when it starts. */
async function greets(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1').setTimeout(1_000);
  socket.on('timeout', () => socket.destroy());
  socket.write('AMQP\0\0\x09\x01');
  try {
    for await (const _ of socket) return true;
  } catch {
    // Nobody listens yet.
  }
  return false;
}
