import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const docker = async (...args: string[]) => (await execute('docker', args)).stdout.trim();
/** temporary */
export async function startBroker() {
  const name = `t${Math.random().toString(36).slice(2)}`;
  await docker('exec', 'rabbittest', 'rabbitmqctl', 'add_vhost', name);
  await docker(
    'exec',
    'rabbittest',
    'rabbitmqctl',
    'set_permissions',
    '-p',
    name,
    'platform',
    '.*',
    '.*',
    '.*',
  );
  return {
    url: `amqp://platform:platform@127.0.0.1:55672/${name}`,
    async restart() {},
    async stop() {
      await docker('exec', 'rabbittest', 'rabbitmqctl', 'delete_vhost', name);
    },
  };
}
