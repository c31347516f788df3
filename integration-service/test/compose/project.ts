import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { freePort, ROOT, UNSET } from '../end-to-end/processes.ts';

export const execute = promisify(execFile);

/** Arguments for `docker compose up`. */
export const REPLICAS = { count: 3, scale: ['--scale', 'integration-service=3'] };

/** Consecutive ports that were free a moment ago, and a ledger that replicas can share. */
export async function withReplicas(): Promise<NodeJS.ProcessEnv> {
  const first = Number(await freePort());
  return {
    LEDGER_URL: 'postgres://ledger:ledger@postgres/ledger',
    INTEGRATION_SERVICE_PORT: `${first}-${first + REPLICAS.count - 1}`,
  };
}

/**
 * A separate Compose project on separate ports that ignores the user's `.env`, so that other programs on
 * this machine are left alone. It is removed after the last test of the file. Call this outside of tests.
 *
 * @param profiles the names for `--profile`
 */
export async function createProject(env: NodeJS.ProcessEnv = {}, ...profiles: string[]) {
  const ports = {
    crm: await freePort(),
    inventory: await freePort(),
    service: await freePort(),
    rabbitmq: await freePort(),
    management: await freePort(),
  };
  const name = `compose-test-${process.pid}-${ports.crm}`;
  const environment = {
    ...process.env,
    ...UNSET,
    COMPOSE_PROJECT_NAME: name,
    CRM_API_PORT: ports.crm,
    INVENTORY_API_PORT: ports.inventory,
    INTEGRATION_SERVICE_PORT: ports.service,
    RABBITMQ_PORT: ports.rabbitmq,
    RABBITMQ_MANAGEMENT_PORT: ports.management,
    POLLING_INTERVAL_SECONDS: '1',
    ...env,
  };
  const options = ['--env-file', '/dev/null', ...profiles.flatMap((name) => ['--profile', name])];

  async function compose(...args: string[]): Promise<string> {
    const { stdout } = await execute('docker', ['compose', ...options, ...args], {
      cwd: ROOT,
      env: environment,
      maxBuffer: 64_000_000,
    });
    return stdout;
  }
  const hosts: Record<string, number | string> = {
    'localhost:8000': ports.crm,
    'localhost:8001': ports.inventory,
    'localhost:8002': String(environment.INTEGRATION_SERVICE_PORT).split('-', 1)[0] as string,
  };

  /** Runs a block of a page unchanged except for the ports, in a folder where it may leave files. */
  async function run(script: string, cwd: string): Promise<string> {
    const here = script
      .replaceAll(/localhost:800[012]/g, (host) => `127.0.0.1:${hosts[host]}`)
      .replaceAll(/^curl /gm, 'curl --silent --show-error ');
    const env = { ...environment, COMPOSE_FILE: `${ROOT}docker-compose.yml` };
    return (await execute('bash', ['-euo', 'pipefail', '-c', here], { cwd, env })).stdout;
  }
  const all = ['--volumes', '--remove-orphans', '--rmi', 'local'];
  afterAll(() => compose('--profile', '*', 'down', ...all));

  return {
    name,
    ports,
    compose,
    run,
    /** Adds these variables to the environment of all later commands. */
    set(variables: NodeJS.ProcessEnv): void {
      Object.assign(environment, variables);
    },
    /** Creates customers in the CRM, 10 at a time. */
    async createCustomers(count: number): Promise<void> {
      let created = 0;
      const work = async () => {
        while (created < count) {
          created += 1;
          const email = `customer-${crypto.randomUUID()}@example.com`;
          const response = await fetch(`http://127.0.0.1:${ports.crm}/customers`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ name: 'Jane', email }),
          });
          if (response.status !== 201) throw new Error(await response.text());
        }
      };
      await Promise.all(Array.from({ length: 10 }, work));
    },
    /** The customers whose packages the inventory has, in order. */
    async packages(): Promise<string[]> {
      const response = await fetch(`http://127.0.0.1:${ports.inventory}/package-requests`);
      const requests = (await response.json()) as { customer_id: string }[];
      return requests.map(({ customer_id }) => customer_id);
    },
  };
}
